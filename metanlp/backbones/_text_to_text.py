"""An encoder-decoder with its tokenizers: text in, batches in, text out. What encoder-decoder recipes build."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from metanlp.backbones._languages import languages_of
from metanlp.batch import IGNORED, Batch, pad
from metanlp.data.types import Prompt
from metanlp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NEW_ROWS = "new_rows.json"
PREFIX = "text_prefix"  # what the source tokenizer's configuration calls the prefix
TARGET = "target"  # where a tokenizer of the target's own is kept, inside the model's folder


class TextToText:
    """`model`, `tokenizer` and `target_tokenizer` are Hugging Face's own; by default one tokenizer serves both sides.

    Texts longer than `max_length` pieces, or than the model has positions, are cut. The encoder reads `prefix` before
    every text. `new_rows` are the embedding's rows that the run has added: each task learns its own.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        *,
        target_tokenizer: PreTrainedTokenizerBase | None = None,
        prefix: str = "",
        new_rows: Sequence[int] = (),
    ) -> None:
        self.model, self.tokenizer, self.prefix, self.new_rows = model, tokenizer, prefix, new_rows
        self.target_tokenizer = target_tokenizer or tokenizer
        config = model.config
        sides = getattr(config, "decoder", config)  # EncoderDecoderModel keeps a configuration for each side
        self.positions = getattr(sides, "max_position_embeddings", None)  # T5 has no end of them
        self.max_length = min(max_length, self.positions or max_length)
        start = getattr(config, "decoder_start_token_id", None)
        self.start = start if start is not None else tokenizer.eos_token_id  # mBART starts from </s>
        if type(tokenizer).__name__ in ("MBartTokenizer", "MBartTokenizerFast"):
            raise UserError("mBART-25 writes a language's code last, which is not supported; take mBART-50")
        self.languages = languages_of(tokenizer)

    def encode(self, prompts: Sequence[Sequence[Prompt]], seed: int | None = None) -> Batch:
        """A batch of `len(prompts)` tasks with equally many rows each; `seed` fixes the dropout of its pass."""
        rows = [prompt for task in prompts for prompt in task]
        inputs = self._inputs(rows)
        labels = pad(self._tokens(rows, "target"), IGNORED)
        before = labels.new_full((len(rows), 1), self.start)
        shifted = torch.cat([before, labels[:, :-1]], dim=1)
        inputs["decoder_input_ids"] = shifted.masked_fill(shifted == IGNORED, self.target_tokenizer.pad_token_id)
        return Batch(inputs, labels, tasks=len(prompts), seed=seed)

    def generate(
        self, prompts: Sequence[Sequence[Prompt]], *, beams: int = 1, max_new_tokens: int = 128
    ) -> list[list[str]]:
        """What the model writes for each prompt, `prompts` being laid out as for `encode`. Call inside `learner.using`."""
        rows = [prompt for task in prompts for prompt in task]
        device = self.model.device
        inputs = {name: tensor.to(device) for name, tensor in self._inputs(rows).items()}
        first = [[self.start, *self._before(row, "target")] for row in rows]
        written = self.model.generate(
            **inputs,
            decoder_input_ids=pad(first, self.start).to(device),
            num_beams=beams,
            do_sample=False,
            max_new_tokens=min(max_new_tokens, (self.positions or math.inf) - len(first[0])),
            max_length=None,
            forced_bos_token_id=None,
        )
        decode = self.target_tokenizer.batch_decode
        texts = iter(decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return [[next(texts) for _ in task] for task in prompts]

    def cut(self, prompts: Sequence[Prompt], side: str = "source", *, max_new_tokens: int = 0) -> list[bool]:
        """Which of the sources (or targets) are longer than `max_length` pieces, so that their end is not read.

        What is written stands elsewhere, so `max_new_tokens` takes nothing from them.
        """
        rows = self._tokens(prompts, side, whole=True) if prompts else []  # tokenizers refuse to read nothing
        return [len(row) > self.max_length for row in rows]

    def reading_of(self, prompt: Prompt) -> str:
        """What the encoder reads of a prompt, as text; the tokenizer adds its own marks and a language's code."""
        return self.prefix + prompt.input

    def save(self, folder: Path) -> None:
        """An ordinary `from_pretrained` folder, in which `open_alone` finds all that belongs to it, `rows_added` the new rows."""
        self.model.save_pretrained(folder)
        if self.prefix:
            self.tokenizer.init_kwargs[PREFIX] = self.prefix
        self.tokenizer.save_pretrained(folder)
        if self.target_tokenizer is not self.tokenizer:
            self.target_tokenizer.save_pretrained(folder / TARGET)
        if self.new_rows:
            (folder / NEW_ROWS).write_text(json.dumps(list(self.new_rows)), encoding="utf-8")

    def _inputs(self, rows: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        tokens = self._tokens(rows, "source")
        ids = pad(tokens, self.tokenizer.pad_token_id)
        lengths = torch.tensor([len(row) for row in tokens])
        return {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}

    def _tokens(self, rows: Sequence[Prompt], side: str, whole: bool = False) -> list[list[int]]:
        """The pieces of each row's source or target, as the tokenizer wants that side, special pieces included.

        Longer rows than `max_length` are cut, unless they are wanted `whole`.
        """
        named = [self.languages.named(row) for row in rows]
        before = [self._before(row, side) for row in named]
        texts = [self.prefix + row.input if side == "source" else row.output for row in named]
        tokenizer = self.tokenizer if side == "source" else self.target_tokenizer
        ours = self.languages.before == "both"  # the tokenizer, left to itself, puts codes of its own table only
        found: Any = tokenizer(
            **{"text" if side == "source" or ours else "text_target": texts},
            add_special_tokens=not ours,
            truncation=not whole,
            max_length=None if whole else self.max_length - len(before[0]) - ours,
            verbose=False,
        )
        end = [tokenizer.eos_token_id] if ours else []
        return [[*first, *pieces, *end] for first, pieces in zip(before, found["input_ids"], strict=True)]

    def _before(self, row: Prompt, side: str) -> list[int]:
        piece = self.languages.of(row, side)
        return [] if piece is None else [piece]


def open_alone(model: Any, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TextToText:
    """A model without the recipe that made it: prefix and target tokenizer are those that `save` has put beside `tokenizer`.

    UserError where two vocabularies need two tokenizers and the second is not there.
    """
    from transformers import AutoTokenizer

    prefix, target = tokenizer.init_kwargs.get(PREFIX, ""), None
    if model.config.model_type == "encoder-decoder":
        try:
            target = AutoTokenizer.from_pretrained(tokenizer.name_or_path, subfolder=TARGET)
        except (OSError, ValueError):
            sizes = [side.vocab_size for side in (model.config.encoder, model.config.decoder)]
            if sizes[0] != sizes[1]:
                raise UserError(
                    f"the model reads with {sizes[0]:,} pieces and writes with {sizes[1]:,}, and {tokenizer.name_or_path!r} has "
                    f"no tokenizer of the latter in {TARGET}/; give a folder that a run has saved, for the tokenizer too"
                ) from None
    return TextToText(model, tokenizer, max_length, target_tokenizer=target, prefix=prefix)


def rows_added(folder: Path) -> list[int]:
    """The rows that a run has added to the model in this folder."""
    path = folder / NEW_ROWS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
