"""A column of a TSV file, translated into another column of it; all else stays as it is, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from metanlp.data.rows import excerpt
from metanlp.errors import Problems, UserError, did_you_mean
from metanlp.pipelines.lines import cut_ones_told
from metanlp.pipelines.translation import TranslationPipeline
from metanlp.progress import progress

BOM = b"\xef\xbb\xbf"
TOLD = 10  # problems; the others are counted


class Table:
    """`sources` are the texts to translate: of every row, or where the column to fill is there, of rows that lack it.

    UserError with every row that has more or fewer fields than the header, or is not UTF-8 in the column that is read.
    """

    def __init__(self, path: Path, column: str, to: str) -> None:
        try:
            *lines, last = path.read_bytes().split(b"\n")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from None
        self.path = path
        self.whole = not last  # whether the last line has an end
        self.lines = lines if self.whole else [*lines, last]
        if not self.lines:
            raise UserError(f"{path} is empty; its first line should name the columns, tab-separated")
        columns = self._columns()
        if column not in columns:
            raise UserError(
                f"{path}:1: no column {column!r}{did_you_mean(column, columns)}; found {', '.join(columns)}"
            )
        if len(set(columns)) < len(columns):
            raise UserError(f"{path}:1: a column is named twice; found {', '.join(columns)}")
        if column == to:
            raise UserError(f"the column {column!r} cannot be translated into itself; name another with --to")
        self.source, self.target = columns.index(column), columns.index(to) if to in columns else None
        self.to, self.width = to, len(columns)
        self.rows, self.sources = self._read()

    def filled(self, translations: Sequence[str]) -> Iterator[bytes]:
        """The lines of the file with a translation for each of `sources` in its place, tabs and line ends in it as spaces."""
        texts = dict(zip(self.rows, translations, strict=True))
        for number, line in enumerate(self.lines, 1):
            fields, end = _fields(line)
            text = self.to if number == 1 else " ".join(texts.get(number, "").splitlines()).replace("\t", " ")
            if self.target is None:
                fields.append(text.encode())
            elif number in texts:
                fields[self.target] = text.encode()
            last = number == len(self.lines) and not self.whole
            yield b"\t".join(fields) + end + (b"" if last else b"\n")

    def _columns(self) -> list[str]:
        try:
            return self.lines[0].removeprefix(BOM).removesuffix(b"\r").decode("utf-8").split("\t")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path}:1: the header is not UTF-8 at byte {error.start}") from None

    def _read(self) -> tuple[list[int], list[str]]:
        rows, sources, wrong = [], [], []
        for number, line in enumerate(self.lines[1:], 2):
            fields, _ = _fields(line)
            if len(fields) != self.width:
                wrong.append(f"line {number} has {len(fields)} fields, the header {self.width}: {excerpt(line)}")
            elif self.target is None or not fields[self.target].strip():
                try:
                    sources.append(fields[self.source].decode("utf-8"))
                    rows.append(number)
                except UnicodeDecodeError as error:
                    wrong.append(f"line {number}: not UTF-8 at byte {error.start} of the column: {excerpt(line)}")
        problems = Problems(str(self.path))
        for problem in [*wrong[:TOLD], *([f"and {len(wrong) - TOLD} more"] if len(wrong) > TOLD else [])]:
            problems.add(problem)
        problems.raise_if_any()
        return rows, sources


def translate_table(pipeline: TranslationPipeline, table: Table, *, show: bool = False) -> bytes:
    """The file with its column filled; tells on standard error which lines were longer than the model reads."""
    found = []
    with progress(f"translating {table.path.name}", len(table.rows), show=show) as advance:
        for translation in cut_ones_told(pipeline.stream(table.sources), pipeline.limit, table.rows):
            found.append(translation.text)
            advance(1, "")
    return b"".join(table.filled(found))


def _fields(line: bytes) -> tuple[list[bytes], bytes]:
    """The fields of a line, and the carriage return at its end where it has one."""
    end = b"\r" if line.endswith(b"\r") else b""
    return line.removesuffix(b"\r").split(b"\t"), end
