"""What the rows of each task family hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metanlp.data.rows import LIMIT, RowForm, text_of
from metanlp.data.types import Example


class PairRows(RowForm):
    """A source text and a target text."""

    formats = (".tsv", ".jsonl", ".parquet", ".source.txt", ".target.txt")
    form = "examples are read from .tsv, .jsonl and .parquet files and from pairs NAME.source.txt and NAME.target.txt"
    required = ("source", "target")
    columns = ("source", "target", "id", "pool")

    def texts(self, fields: Mapping[str, Any]) -> Sequence[str] | None:
        source, target = fields["source"], fields["target"]
        return (source, target) if isinstance(source, str) and isinstance(target, str) else None

    def example(self, texts: Sequence[str], id_: str, pool: str) -> Example | str:
        source, target = texts
        return Example(source, target, id_, pool) if self.first(source, target) else "duplicate"


class DialogueRows(RowForm):
    """The lines of a dialogue so far, and what the person replied. The rows of one dialogue stand together."""

    formats = (".jsonl",)
    form = (
        'dialogues are read from .jsonl files with lines like {"dialogue": "7", "history": ["Hi!"], "reply": "Hello"}'
    )
    required = ("dialogue", "history", "reply")
    columns = ("dialogue", "history", "reply", "id", "pool")

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(limit)
        self._dialogue, self._pool = "", ""  # the one whose rows stand here, and its mark

    def texts(self, fields: Mapping[str, Any]) -> Sequence[str] | None:
        dialogue, history, reply = text_of(fields["dialogue"]), fields["history"], fields["reply"]
        texts = (dialogue, *history, reply) if isinstance(history, list) else ()
        return texts if texts and all(isinstance(text, str) for text in texts) else None

    def example(self, texts: Sequence[str], id_: str, pool: str) -> Example | str:
        dialogue, *history, reply = texts
        if not history:
            return "empty history"
        if dialogue != self._dialogue:
            if not self.first(dialogue):
                return "scattered dialogue"
            self._dialogue, self._pool = dialogue, pool
        if pool != self._pool:
            return "bad pool"
        if not self.first(dialogue, *history, reply):
            return "duplicate"
        return Example("\n".join(history), reply, id_, pool, dialogue)


def form_of(family: str) -> type[RowForm]:
    """How the rows of a task family look: those of a dialogue, or pairs of texts."""
    return DialogueRows if family == "dialogue" else PairRows
