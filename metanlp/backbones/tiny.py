"""A small encoder-decoder from scratch, with a sentencepiece tokenizer trained on the training tasks only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from metanlp.backbones._from_scratch import FromScratch
from metanlp.config.languages import Additions
from metanlp.errors import UserError
from metanlp.registry import BACKBONES

if TYPE_CHECKING:
    from metanlp.backbones._text_to_text import TextToText
    from metanlp.data.types import Prompt


@BACKBONES.register("tiny")
class Tiny(FromScratch):
    """An mBART (Liu et al., 2020) of the sizes given here: layers normalised first, absolute positions.

    Unknown characters become bytes, so no language is unknown. At equal steps it learns to spell numbers far sooner than a
    T5 of the same size, whose attention to the source knows no positions.
    """

    encoder_layers: int = Field(2, ge=1, description="layers of the encoder")
    decoder_layers: int = Field(2, ge=1, description="layers of the decoder")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of activations dropped while training")
    max_length: int = Field(256, ge=1, description="longest source or target, in pieces; longer ones are cut")

    def prepare(self, folder: Path, prompts: Callable[[int | None], Iterable[Prompt]], seed: int) -> None:
        """Train the tokenizer, draw the weights, and save both as an ordinary `from_pretrained` folder.

        `prompts(most)` gives about so many of the training prompts, evenly spread; all for None.
        """
        from transformers import MBartConfig, MBartForConditionalGeneration

        from metanlp.backbones._sentencepiece import EXAMPLES

        texts = (text for prompt in prompts(EXAMPLES) for text in (prompt.input, prompt.output))
        tokenizer = self.tokenizer_of(texts)
        config = MBartConfig(
            vocab_size=len(tokenizer),
            d_model=self.width,
            encoder_layers=self.encoder_layers,
            decoder_layers=self.decoder_layers,
            encoder_attention_heads=self.heads,
            decoder_attention_heads=self.heads,
            encoder_ffn_dim=self.feed_forward,
            decoder_ffn_dim=self.feed_forward,
            max_position_embeddings=self.max_length,
            dropout=self.dropout,
            scale_embedding=True,
            init_std=self.width**-0.5,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            decoder_start_token_id=tokenizer.pad_token_id,
            forced_eos_token_id=None,
        )
        self.save_drawn(folder, MBartForConditionalGeneration, config, tokenizer, seed)

    def extend(self, additions: Additions) -> TextToText | None:
        """UserError: there is nothing to add."""
        raise UserError(
            "task.new_languages and task.new_pieces are for pretrained models: `tiny` learns its pieces from the training "
            "tasks, spells all other characters in bytes, and reads languages as words of the prompt"
        )

    def open(self, where: str) -> TextToText:
        """The model in float32 and its tokenizer, from a folder that `prepare` or a run saved."""
        from metanlp.backbones.seq2seq import Seq2Seq

        return Seq2Seq(model=where, max_length=self.max_length).open(where)
