"""What every row must be to become an example, and what happens to one that is not: it is listed, never dropped
in silence. What the rows of a task family hold besides is in `row_forms`.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metanlp.data.types import Example

POOLS = ("", "support", "query")
LIMIT = 2_000  # characters a text may have, unless the recipe says otherwise

REASONS = {
    "bad UTF-8": "the bytes are not text in UTF-8",
    "empty line": "there is nothing on the line",
    "missing column": "fewer fields than the header names, or one that every row needs is not there",
    "extra column": "more fields than the header names (a stray tab?)",
    "unknown column": "a key that rows of this task family do not have",
    "malformed JSON": "the line is not one JSON object, or names a key twice",
    "wrong type": "a text is not text (a number, null, a list), or a history is no list of texts",
    "control character": "a control character (U+0000-U+001F, U+007F-U+009F), tabs and line ends too",
    "empty side": "a text that every row needs, or a line of a history, is empty or only whitespace",
    "empty history": "nothing was said before the reply",
    "over-long": "a text has more characters than the limit",
    "bad pool": "pool is not support, query or empty, or another than in the dialogue's rows so far",
    "scattered dialogue": "rows of this dialogue stand further up, and rows of another one between them",
    "duplicate": "the same texts stand further up in the same file",
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ODD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # the same but for the tab, which separates fields
_EXCERPT = 80  # characters


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that did not become an example: where it stands, why, and how it begins."""

    file: str
    line: int  # 1-based; of a Parquet file: the row
    reason: str  # one of REASONS
    text: str


def excerpt(text: str | bytes) -> str:
    """How a text begins or, where that is further on, what is around its first bad byte or control character.

    These are spelt out (`\\xff`), and the excerpt can be written as UTF-8.
    """
    odd = -1
    if isinstance(text, bytes):
        text, odd = _decoded(text)
    if odd < 0:
        found = _ODD.search(text)
        odd = found.start() if found else 0
    start = odd - _EXCERPT // 2 if odd >= _EXCERPT else 0
    shown = _ODD.sub(lambda control: f"\\x{ord(control[0]):02x}", text[start : start + _EXCERPT])
    return shown.encode("utf-8", errors="backslashreplace").decode("utf-8")


def _decoded(raw: bytes) -> tuple[str, int]:
    """The text with bad bytes spelt out, and where the first of them is (-1: nowhere)."""
    try:
        return raw.decode("utf-8"), -1
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8")
        return good + raw[error.start :].decode("utf-8", errors="backslashreplace"), len(good)


class RowForm(ABC):
    """Turns the fields of one file's rows, in order, into examples or reasons against them."""

    formats: ClassVar[tuple[str, ...]]  # endings of the files that such rows stand in
    form: ClassVar[str]  # for people: what such a file looks like
    required: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._seen: set[int] = set()  # 64-bit hashes

    def __call__(self, fields: Mapping[str, Any]) -> Example | str:
        """An Example, its texts exactly as given, or one of REASONS."""
        if not fields.keys() >= set(self.required):
            return "missing column"
        if not fields.keys() <= set(self.columns):
            return "unknown column"
        texts, id_, pool = self.texts(fields), text_of(fields.get("id")), text_of(fields.get("pool"))
        if texts is None or not isinstance(id_, str) or not isinstance(pool, str):
            return "wrong type"
        whole = "".join((*texts, id_))
        try:
            whole.encode()
        except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which is no text
            return "bad UTF-8"
        if _has_control(whole):
            return "control character"
        if not all(map(str.strip, texts)):
            return "empty side"
        if max(map(len, (*texts, id_))) > self.limit:
            return "over-long"
        return self.example(texts, id_, pool) if pool in POOLS else "bad pool"

    @abstractmethod
    def texts(self, fields: Mapping[str, Any]) -> Sequence[str] | None:
        """The texts that a row needs; None where one of them is none."""

    @abstractmethod
    def example(self, texts: Sequence[str], id_: str, pool: str) -> Example | str:
        """What these texts make, each of them fit for it, or one of REASONS."""

    def first(self, *texts: str) -> bool:
        """Whether this is asked for the first time with these texts."""
        before = len(self._seen)
        key = "\t".join(texts).encode()  # no text has a tab in it
        self._seen.add(int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big"))
        return len(self._seen) > before


def text_of(value: Any) -> Any:
    """Names and marks may be null in JSON and Parquet, and names a whole number: the same as in a TSV file."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _has_control(text: str) -> bool:
    return not text.isprintable() and _CONTROL.search(text) is not None  # isprintable is the fast way to "no"
