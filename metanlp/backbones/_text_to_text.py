"""An encoder-decoder with its tokenizer: text in, batches in, text out. What `seq2seq` and `tiny` recipes build."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from metanlp.batch import IGNORED, Batch, pad
from metanlp.data.types import Prompt
from metanlp.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase


class TextToText:
    """`model` and `tokenizer` are Hugging Face's own.

    Texts longer than `max_length` pieces, or than the model has positions, are cut.
    """

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.model, self.tokenizer = model, tokenizer
        config = model.config
        self.positions = getattr(config, "max_position_embeddings", None)  # T5 has no end of them
        self.max_length = min(max_length, self.positions or max_length)
        start = getattr(config, "decoder_start_token_id", None)
        self.start = start if start is not None else tokenizer.eos_token_id  # mBART starts from </s>
        if type(tokenizer).__name__ in ("MBartTokenizer", "MBartTokenizerFast"):
            raise UserError("mBART-25 writes a language's code last, which is not supported; take mBART-50")
        self.has_languages = hasattr(tokenizer, "src_lang")  # NLLB, M2M100, mBART: codes; others: words in the prompt

    def encode(self, prompts: Sequence[Sequence[Prompt]], seed: int | None = None) -> Batch:
        """A batch of `len(prompts)` tasks with equally many rows each; `seed` fixes the dropout of its pass."""
        rows = [prompt for task in prompts for prompt in task]
        inputs = self._inputs(rows)
        labels = pad(self._tokens(rows, "target"), IGNORED)
        before = labels.new_full((len(rows), 1), self.start)
        shifted = torch.cat([before, labels[:, :-1]], dim=1)
        inputs["decoder_input_ids"] = shifted.masked_fill(shifted == IGNORED, self.tokenizer.pad_token_id)
        return Batch(inputs, labels, tasks=len(prompts), seed=seed)

    def generate(
        self, prompts: Sequence[Sequence[Prompt]], *, beams: int = 1, max_new_tokens: int = 128
    ) -> list[list[str]]:
        """What the model writes for each prompt, `prompts` being laid out as for `encode`. Call inside `learner.using`."""
        rows = [prompt for task in prompts for prompt in task]
        device = self.model.device
        inputs = {name: tensor.to(device) for name, tensor in self._inputs(rows).items()}
        first = [[self.start, *([self.language_id(row.target_language)] if self.has_languages else [])] for row in rows]
        written = self.model.generate(
            **inputs,
            decoder_input_ids=pad(first, self.start).to(device),
            num_beams=beams,
            do_sample=False,
            max_new_tokens=min(max_new_tokens, (self.positions or math.inf) - len(first[0])),
            max_length=None,
            forced_bos_token_id=None,
        )
        texts = iter(self.tokenizer.batch_decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return [[next(texts) for _ in task] for task in prompts]

    def cut(self, prompts: Sequence[Prompt]) -> list[bool]:
        """Which of the sources are longer than `max_length` pieces, so that their end is not read."""
        pieces = self.tokenizer([prompt.input for prompt in prompts], verbose=False)["input_ids"]
        return [len(row) > self.max_length for row in pieces]

    def language_id(self, code: str | None) -> int:
        """The piece of a language code; UserError with the nearest codes where the tokenizer does not know it."""
        known = self._language_codes()
        if code not in known:
            scripts = [each for each in sorted(known) if each.partition("_")[0] == code]  # "deu" where it is "deu_Latn"
            near = f" (did you mean {scripts[0]!r}?)" if scripts else did_you_mean(code or "", known)
            raise UserError(
                f"the tokenizer knows no language {code!r}{near}; give a task's source_language and target_language in "
                f"collection.yaml (or --info) as one of its {len(known)} codes, as {', '.join(sorted(known)[:3])}"
            )
        return known[code]

    def save(self, folder: Path) -> None:
        """An ordinary `from_pretrained` folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _language_codes(self) -> dict[str, int]:
        tokenizer: Any = self.tokenizer
        special = [str(token) for token in tokenizer.all_special_tokens]
        if hasattr(tokenizer, "lang_code_to_token"):  # M2M100 writes the code af as __af__
            return {
                code: tokenizer.convert_tokens_to_ids(token) for code, token in tokenizer.lang_code_to_token.items()
            }
        named = {tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token}
        return {
            token: tokenizer.convert_tokens_to_ids(token) for token in special if token not in named and token[0] != "<"
        }

    def _inputs(self, rows: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        tokens = self._tokens(rows, "source")
        ids = pad(tokens, self.tokenizer.pad_token_id)
        lengths = torch.tensor([len(row) for row in tokens])
        return {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}

    def _tokens(self, rows: Sequence[Prompt], side: str) -> list[list[int]]:
        """The pieces of each row's source or target, as the tokenizer wants that side, special pieces included."""
        if not self.has_languages:
            return self._call([row.input if side == "source" else row.output for row in rows], side)
        tokens: list[list[int]] = [[] for _ in rows]
        by_language: dict[str | None, list[int]] = {}
        for index, row in enumerate(rows):
            code = row.source_language if side == "source" else row.target_language
            by_language.setdefault(code, []).append(index)
        for code, indices in by_language.items():
            self.language_id(code)
            setattr(self.tokenizer, "src_lang" if side == "source" else "tgt_lang", code)
            texts = [rows[index].input if side == "source" else rows[index].output for index in indices]
            for index, pieces in zip(indices, self._call(texts, side), strict=True):
                tokens[index] = pieces
        return tokens

    def _call(self, texts: list[str], side: str) -> list[list[int]]:
        key = "text" if side == "source" else "text_target"
        return self.tokenizer(**{key: texts}, truncation=True, max_length=self.max_length)["input_ids"]
