"""What a row must be to become an example, and what happens to one that is not: it is listed, never dropped
in silence.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metanlp.data.types import Example

REQUIRED = ("source", "target")
COLUMNS = ("source", "target", "id", "pool")
POOLS = ("", "support", "query")
LIMIT = 2_000  # characters a side may have, unless the recipe says otherwise

REASONS = {
    "bad UTF-8": "the bytes are not text in UTF-8",
    "empty line": "there is nothing on the line",
    "missing column": "fewer fields than the header names, or source or target is not there",
    "extra column": "more fields than the header names (a stray tab?)",
    "unknown column": "a key other than source, target, id and pool",
    "malformed JSON": "the line is not one JSON object, or names a key twice",
    "wrong type": "a side is not text (a number, null, a list)",
    "control character": "a control character (U+0000-U+001F, U+007F-U+009F), tabs and line ends too",
    "empty side": "source or target is empty or only whitespace",
    "over-long": "a side has more characters than the limit",
    "bad pool": "pool is not support, query or empty",
    "duplicate": "the same source and target stand further up in the same file",
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ODD = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # the same but for the tab, which separates fields
_EXCERPT = 80  # characters
_KNOWN = frozenset(COLUMNS)


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


class RowCheck:
    """Turns the fields of one file's rows, in order, into examples or reasons against them."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._seen: set[int] = set()  # 64-bit hashes of the pairs so far

    def __call__(self, fields: Mapping[str, Any]) -> Example | str:
        """An Example, its texts exactly as given, or one of REASONS."""
        source, target = fields.get("source"), fields.get("target")
        id_, pool = _optional(fields.get("id")), _optional(fields.get("pool"))
        if "source" not in fields or "target" not in fields:
            return "missing column"
        if not _KNOWN.issuperset(fields):
            return "unknown column"
        if not (isinstance(source, str) and isinstance(target, str) and isinstance(id_, str) and isinstance(pool, str)):
            return "wrong type"
        try:
            pair = f"{source}\t{target}".encode()
            id_.encode()
        except UnicodeEncodeError:  # JSON can spell half a surrogate pair, which is no text
            return "bad UTF-8"
        if _has_control(source + target + id_):
            return "control character"
        if not source.strip() or not target.strip():
            return "empty side"
        if max(len(source), len(target), len(id_)) > self.limit:
            return "over-long"
        if pool not in POOLS:
            return "bad pool"
        return Example(source, target, id_, pool) if self._first(pair) else "duplicate"

    def _first(self, pair: bytes) -> bool:
        before = len(self._seen)
        self._seen.add(int.from_bytes(hashlib.blake2b(pair, digest_size=8).digest(), "big"))
        return len(self._seen) > before


def _optional(value: Any) -> Any:
    """`id` and `pool` may be null in JSON and Parquet, and `id` a whole number: the same as in a TSV file."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _has_control(text: str) -> bool:
    return not text.isprintable() and _CONTROL.search(text) is not None  # isprintable is the fast way to "no"
