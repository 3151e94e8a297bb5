"""What small models from scratch share: a tokenizer trained on the training tasks only, and weights drawn by the seed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from metanlp.config.options import Options

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class FromScratch(Options):
    """The options of both kinds; what they `prepare` becomes an ordinary `from_pretrained` folder."""

    made: ClassVar[bool] = True  # a run makes it once, in a folder of its own

    pieces: Literal["char", "bpe", "unigram"] = Field("bpe", description="what the tokenizer cuts text into")
    vocabulary: int = Field(1000, ge=300, description="pieces in the vocabulary, 259 for bytes and marks included")
    width: int = Field(128, ge=8, description="width of the hidden states")
    heads: int = Field(4, ge=1, description="attention heads")
    feed_forward: int = Field(512, ge=8, description="width inside the feed-forward layers")

    def base(self, folder: Path) -> str:
        """Where the backbone's own weights are: what `prepare` made in a run's `folder` for it."""
        return str(folder.resolve())

    def tokenizer_of(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """A sentencepiece tokenizer trained on these texts. Unknown characters become bytes, so no language is unknown."""
        from metanlp.backbones._sentencepiece import train_tokenizer

        return train_tokenizer(texts, self.pieces, self.vocabulary)

    def save_drawn(
        self, folder: Path, model: type[Any], config: Any, tokenizer: PreTrainedTokenizerBase, seed: int
    ) -> None:
        """Draw the weights of a `model` of this `config` by the seed, and save them with the tokenizer."""
        import torch

        from metanlp.data.seeds import seed_of

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.kind, seed) % 2**63)
            drawn = model(config)
        drawn.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
