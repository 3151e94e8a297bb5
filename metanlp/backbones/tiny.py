"""A small encoder-decoder from scratch, with a sentencepiece tokenizer trained on the training tasks only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from metanlp.config.options import Options
from metanlp.registry import BACKBONES

if TYPE_CHECKING:
    from metanlp.backbones._encoder_decoder import EncoderDecoder


@BACKBONES.register("tiny")
class Tiny(Options):
    """A T5 (Raffel et al., 2020) of the sizes given here. Unknown characters become bytes, so no language is unknown."""

    made: ClassVar[bool] = True  # a run makes it once, in a folder of its own

    pieces: Literal["char", "unigram"] = Field("char", description="what the tokenizer cuts text into")
    vocabulary: int = Field(1000, ge=300, description="most pieces in the vocabulary, 259 for bytes and marks included")
    width: int = Field(128, ge=8, description="d_model, the width of the hidden states")
    heads: int = Field(4, ge=1, description="attention heads")
    feed_forward: int = Field(256, ge=8, description="d_ff, the width inside the feed-forward layers")
    encoder_layers: int = Field(2, ge=1, description="layers of the encoder")
    decoder_layers: int = Field(2, ge=1, description="layers of the decoder")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of activations dropped while training")
    max_length: int = Field(256, ge=1, description="longest source or target, in pieces; longer ones are cut")

    def prepare(self, folder: Path, texts: Callable[[], Iterable[str]], seed: int) -> None:
        """Train the tokenizer on `texts()`, draw the weights, and save both as an ordinary `from_pretrained` folder."""
        import torch
        from transformers import T5Config, T5ForConditionalGeneration

        from metanlp.backbones._sentencepiece import train_tokenizer
        from metanlp.data.seeds import seed_of

        tokenizer = train_tokenizer(texts(), self.pieces, self.vocabulary)
        config = T5Config(
            vocab_size=len(tokenizer),
            d_model=self.width,
            d_kv=self.width // self.heads,
            d_ff=self.feed_forward,
            num_layers=self.encoder_layers,
            num_decoder_layers=self.decoder_layers,
            num_heads=self.heads,
            dropout_rate=self.dropout,
            feed_forward_proj="gated-gelu",
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("tiny", seed) % 2**63)
            model = T5ForConditionalGeneration(config)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    def load(self, folder: Path) -> EncoderDecoder:
        """The model in float32 and its tokenizer, as `prepare` saved them."""
        from metanlp.backbones.seq2seq import Seq2Seq

        return Seq2Seq(model=self.base(folder), max_length=self.max_length).load(folder)

    def base(self, folder: Path) -> str:
        """The model that adapters of this run name as their base."""
        return str(folder.resolve())
