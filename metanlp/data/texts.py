"""A text file, one sentence a line, read strictly."""

from __future__ import annotations

from pathlib import Path

from metanlp.errors import UserError


def read_texts(path: str | Path) -> list[str]:
    """The lines that are not blank. UserError where there is no such file, it is no plain text, or it is empty."""
    path = Path(path)
    if path.suffix in (".tsv", ".jsonl", ".parquet"):
        raise UserError(f"{path} is a file of examples; wanted is plain text, one sentence a line: cut -f2 {path}")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    lines = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.decode("utf-8").strip())
        except UnicodeDecodeError as error:
            raise UserError(f"{path}, line {number}: not UTF-8 at byte {error.start}") from None
    found = [text for text in texts if text]
    if not found:
        raise UserError(f"{path} has no text in it")
    return found
