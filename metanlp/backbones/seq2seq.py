"""Any Hugging Face sequence-to-sequence model by Hub name or folder: T5, mT5, ByT5, BART, Marian, M2M100, NLLB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from metanlp.backbones._pretrained import from_pretrained
from metanlp.config.languages import Additions
from metanlp.config.options import Options
from metanlp.errors import UserError
from metanlp.registry import BACKBONES

if TYPE_CHECKING:
    from metanlp.backbones._text_to_text import TextToText


@BACKBONES.register("seq2seq")
class Seq2Seq(Options):
    """A pretrained encoder-decoder with its own tokenizer."""

    made: ClassVar[bool] = False

    model: str = Field(description="name on the Hugging Face Hub, or a folder")
    revision: str | None = Field(None, description="branch, tag or commit on the Hub; empty: its main branch")
    max_length: int = Field(256, ge=1, description="longest source or target, in pieces; longer ones are cut")

    def extend(self, additions: Additions) -> TextToText | None:
        """The model with what its vocabulary lacks, for a folder of a run's own; None where it lacks nothing, as T5 needs
        no codes. UserError where that cannot be added.
        """
        from transformers import AutoModelForSeq2SeqLM

        from metanlp.backbones._additions import add_languages, make_rows
        from metanlp.backbones._new_pieces import add_pieces, learn_pieces, why_none
        from metanlp.backbones._text_to_text import TextToText
        from metanlp.data.texts import read_texts

        tokenizer = self.tokenizer(self.model)
        starts = add_languages(tokenizer, additions.languages)
        if additions.pieces:
            if reason := why_none(tokenizer):
                raise UserError(f"task.new_pieces: {reason}")
            new = learn_pieces(tokenizer, read_texts(additions.texts), additions.pieces)
            starts |= add_pieces(tokenizer, new)
        if not starts:
            return None
        model = from_pretrained(AutoModelForSeq2SeqLM, self.model, self.revision, dtype="float32")
        make_rows(model, starts)
        return TextToText(model, tokenizer, self.max_length, new_rows=sorted(starts))

    def base(self, folder: Path) -> str:
        """Where the backbone's own weights are: in a run's `folder` where it has extended them."""
        return str(folder.resolve()) if folder.is_dir() else self.model

    def open(self, where: str) -> TextToText:
        """The model in float32 and its tokenizer by Hub name or folder; UserError where there is none."""
        from transformers import AutoModelForSeq2SeqLM

        from metanlp.backbones._text_to_text import TextToText, rows_added

        tokenizer = self.tokenizer(where)
        model = from_pretrained(AutoModelForSeq2SeqLM, where, self.revision, dtype="float32")
        return TextToText(model, tokenizer, self.max_length, new_rows=rows_added(Path(where)))

    def tokenizer(self, where: str) -> Any:
        """Its tokenizer alone, which a model of many GiB is not needed for."""
        from transformers import AutoTokenizer

        return from_pretrained(AutoTokenizer, where, self.revision)
