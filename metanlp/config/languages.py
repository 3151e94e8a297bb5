"""What a recipe says of languages that a pretrained model has never met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from metanlp.config.options import Options


class NewLanguage(Options):
    """A code that the tokenizer does not have. It gets a row in the embedding, which adapting then makes its own."""

    like: str | None = Field(
        None, description="code of a related language, whose row the new one starts from; empty: the mean of all codes"
    )


@dataclass(frozen=True, slots=True)
class Additions:
    """What a pretrained model's vocabulary is to get besides; false where that is nothing."""

    languages: Mapping[str, str | None] = field(default_factory=dict)  # code -> a related one; None: the mean of all
    pieces: int = 0  # how many pieces more
    texts: str = ""  # the file that they are learnt from

    def __bool__(self) -> bool:
        return bool(self.languages) or self.pieces > 0
