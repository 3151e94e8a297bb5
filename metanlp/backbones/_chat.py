"""A causal language model with its tokenizer: chats in, batches in, replies out. What causal recipes build."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from metanlp.backbones._chat_form import ChatForm, Pieces
from metanlp.backbones._languages import languages_of
from metanlp.backbones._streaming import Drawn, Sampling, next_pieces
from metanlp.batch import IGNORED, Batch, pad
from metanlp.data.types import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HALF = "\N{REPLACEMENT CHARACTER}"  # what the pieces of a character are until its last one is there


class Chat:
    """`model` and `tokenizer` are Hugging Face's own.

    How replies are written is said here alone: of the settings that the model brings for it (penalties, temperature) only
    its marks stay, so that `generate` writes what `stream` does, and a run is measured as it is used.

    A prompt's turns go through the tokenizer's chat template, a prompt without turns is a chat of one turn. Chat and
    reply together are at most `max_length` pieces: the oldest turns go first.
    """

    prefix = ""  # nothing stands before a text but what the template writes
    new_rows: Sequence[int] = ()  # nothing is added to the vocabulary

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.model, self.tokenizer, self.target_tokenizer = model, tokenizer, tokenizer
        self.max_length = min(max_length, getattr(model.config, "max_position_embeddings", None) or max_length)
        self.form = ChatForm(tokenizer)
        brought = model.generation_config
        known = brought.eos_token_id if isinstance(brought.eos_token_id, list) else [brought.eos_token_id]
        self.ends = sorted({self.form.end, *known} - {None})
        self.pad = self.form.end if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        model.generation_config = GenerationConfig(
            bos_token_id=brought.bos_token_id, eos_token_id=self.ends, pad_token_id=self.pad
        )
        self.languages = languages_of(tokenizer)

    def encode(self, prompts: Sequence[Sequence[Prompt]], seed: int | None = None) -> Batch:
        """A batch of `len(prompts)` tasks with equally many rows each; `seed` fixes the dropout of its pass.

        Logits are computed where a piece of a reply is predicted, and nowhere else. Rows are filled up on the right, where
        no piece before can see it, so there is no mask.
        """
        rows = [self.form.pieces(prompt, self.max_length) for task in prompts for prompt in task]
        places = [range(len(row.before) - 1, len(row.before) + len(row.reply) - 1) for row in rows]
        inputs = {
            "input_ids": pad([[*row.before, *row.reply[:-1]] for row in rows], self.pad),
            "logits_to_keep": pad(places, 0),
        }
        return Batch(inputs, pad([row.reply for row in rows], IGNORED), tasks=len(prompts), seed=seed)

    def generate(
        self,
        prompts: Sequence[Sequence[Prompt]],
        *,
        beams: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[list[str]]:
        """What the model replies to each prompt, `prompts` being laid out as for `encode`. Call inside `learner.using`.

        With a `temperature` above 0 pieces are drawn as in `stream`: each row as it would be alone.
        """
        rows = [self._asked(prompt, max_new_tokens).before for task in prompts for prompt in task]
        longest = max(len(row) for row in rows)
        ids = torch.tensor([[self.pad] * (longest - len(row)) + row for row in rows])
        real = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        drawn = [Drawn(Sampling(temperature, top_p, seed), longest)] if temperature else None
        written = self.model.generate(
            logits_processor=drawn,
            input_ids=ids.to(self.model.device),
            attention_mask=real.to(self.model.device),
            num_beams=beams,
            do_sample=False,
            eos_token_id=self.ends,
            max_new_tokens=self._most_new(max_new_tokens),
        )
        texts = (self.text_of(row) for row in written[:, longest:].tolist())
        return [[next(texts) for _ in task] for task in prompts]

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int = 128, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0
    ) -> Iterator[str]:
        """The reply to one prompt as it is written; closing the iterator stops it. Read it inside `learner.using`.

        `temperature` 0 takes the likeliest piece every time; otherwise pieces are drawn, among the likeliest that have
        `top_p` of the probability, and the same seed draws the same.
        """
        read = self._asked(prompt, max_new_tokens).before
        choice = Sampling(temperature, top_p, seed)
        written: list[int] = []
        shown = ""
        for piece in next_pieces(self.model, read, choice, self._most_new(max_new_tokens)):
            if piece in self.ends:
                break
            written.append(piece)
            text = self.text_of(written)
            if text != shown and text.startswith(shown) and not text.endswith(HALF):
                yield text[len(shown) :]
                shown = text
        if rest := self.text_of(written)[len(shown) :]:
            yield rest

    def text_of(self, pieces: Sequence[int]) -> str:
        """A reply without what follows its end, nor the space around it."""
        end = next((at for at, piece in enumerate(pieces) if piece in self.ends), len(pieces))
        decode: Any = self.tokenizer.decode
        return str(decode(pieces[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()

    def cut(self, prompts: Sequence[Prompt], side: str = "source", *, max_new_tokens: int = 0) -> list[bool]:
        """Of which prompts some of the chat is not read (or, side "target", the end of the reply), for want of room.

        With `max_new_tokens` also where `generate`, which keeps room for so many, would not read some of the chat.
        """
        found = [self.form.pieces(prompt, self.max_length) for prompt in prompts]
        if side == "target":
            return [row.cut for row in found]
        return [
            row.shortened or (max_new_tokens > 0 and self._asked(prompt, max_new_tokens).shortened)
            for row, prompt in zip(found, prompts, strict=True)
        ]

    def learnt(self, prompt: Prompt) -> Pieces:
        """The pieces that are read before the reply, and those that the loss is about."""
        return self.form.pieces(prompt, self.max_length)

    def reading_of(self, prompt: Prompt) -> str:
        """What the model reads of a prompt, as text, marks and all."""
        return str(self.tokenizer.decode(self.form.pieces(prompt, self.max_length, answered=False).before))

    def save(self, folder: Path) -> None:
        """An ordinary `from_pretrained` folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _asked(self, prompt: Prompt, max_new_tokens: int) -> Pieces:
        """The pieces of the chat, which leave room for the reply."""
        return self.form.pieces(prompt, self.max_length - self._most_new(max_new_tokens), answered=False)

    def _most_new(self, max_new_tokens: int) -> int:
        return min(max_new_tokens, self.max_length // 2)
