"""Bytes -> lines of text, strictly; and which of the lines were too long."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING

from metanlp.errors import UserError
from metanlp.pipelines._inputs import too_long

if TYPE_CHECKING:
    from metanlp.pipelines.translation import Translation


def lines_of(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """Each line without its end, which is LF or CR LF; a byte order mark is skipped.

    UserError that names the stream and the line where it is not UTF-8.
    """
    for number, raw in enumerate(stream, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UserError(f"{name}, line {number}: not UTF-8 at byte {error.start}") from None


def cut_ones_told(
    translations: Iterable[Translation], limit: int, numbers: Iterable[int] | None = None
) -> Iterator[Translation]:
    """The translations as they are; tells on standard error of the first line that was cut, and at the end of the others.

    `numbers` are those of the lines, by default counted from 1.
    """
    cut = []
    for translation, number in zip(translations, numbers or count(1), strict=False):
        if translation.cut:
            cut.append(number)
            if len(cut) == 1:
                print(f"line {number} {too_long(limit)}", file=sys.stderr)
        yield translation
    if len(cut) > 1:
        print(f"so are {len(cut) - 1} more: {', '.join(map(str, cut[1:]))}", file=sys.stderr)
