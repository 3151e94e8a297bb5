"""Bytes -> lines of text, strictly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metanlp.errors import UserError


def lines_of(stream: Iterable[bytes], name: str) -> Iterator[str]:
    """Each line without its end, which is LF or CR LF; a byte order mark is skipped.

    UserError that names the stream and the line where it is not UTF-8.
    """
    for number, raw in enumerate(stream, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UserError(f"{name}, line {number}: not UTF-8 at byte {error.start}") from None
