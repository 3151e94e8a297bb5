"""Strict readers of example files: every row becomes an Example or a Rejected, and nothing else happens to
it.

A line ends at LF alone (a CR before it belongs to the line end); U+2028 and its kin are part of the text. A
byte order mark is skipped. Texts are kept exactly as they are, surrounding spaces too. Nothing is quoted and
no word means "null".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from metanlp.data.row_forms import PairRows
from metanlp.data.rows import LIMIT, Rejected, RowForm, excerpt
from metanlp.data.types import Example
from metanlp.errors import UserError, did_you_mean

_BOM = b"\xef\xbb\xbf"
_SOURCE, _TARGET = ".source.txt", ".target.txt"

# What a format makes of a file, row by row: line, fields or one of REASONS, raw text for the excerpt, file
Row = tuple[int, dict[str, Any] | str, str | bytes, Path]


def read_examples(path: Path, limit: int = LIMIT, form: type[RowForm] = PairRows) -> Iterator[Example | Rejected]:
    """The rows of a .tsv, .jsonl or .parquet file or of a pair .source.txt and .target.txt, one by one.

    `form` says what the rows hold (`row_forms.form_of` a task family). Raises UserError where the file as a whole
    cannot be read: it is missing, such rows do not stand in files of its format, its header does not name the
    columns, or the two files of a pair have different numbers of lines.
    """
    return (row for _, row in read_rows(path, limit, form))


def read_rows(
    path: Path, limit: int = LIMIT, form: type[RowForm] = PairRows
) -> Iterator[tuple[int, Example | Rejected]]:
    """The same, each with its line (1-based; of a Parquet file: the row)."""
    read = _format_of(path, form)
    check = form(limit)
    try:
        for line, fields, raw, file in read(path):
            verdict = fields if isinstance(fields, str) else check(fields)
            yield (
                line,
                verdict if isinstance(verdict, Example) else Rejected(str(file), line, verdict, excerpt(raw)),
            )
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def read_file(path: Path, limit: int = LIMIT, form: type[RowForm] = PairRows) -> tuple[list[Example], list[Rejected]]:
    """All examples of a file, and all rows that are none; for files that fit into memory."""
    examples: list[Example] = []
    rejected: list[Rejected] = []
    for row in read_examples(path, limit, form):
        if isinstance(row, Example):
            examples.append(row)
        else:
            rejected.append(row)
    return examples, rejected


def task_name(path: Path) -> str | None:
    """The task that a file holds (of a pair, the source file's); None where it is no example file."""
    for suffix in _FORMATS:
        if path.name.endswith(suffix) and path.name != suffix:
            return path.name.removesuffix(suffix)
    return None


def partner(path: Path) -> Path | None:
    """The other file of a pair of parallel text files."""
    for own, other in ((_SOURCE, _TARGET), (_TARGET, _SOURCE)):
        if path.name.endswith(own):
            return path.with_name(path.name.removesuffix(own) + other)
    return None


def _format_of(path: Path, form: type[RowForm]) -> Callable[[Path], Iterator[Row]]:
    for suffix, read in _FORMATS.items():
        if path.name.endswith(suffix) and suffix in form.formats:
            return read
    hint = "; save it as tab-separated text (.tsv)" if path.suffix.lower() in (".csv", ".xlsx", ".ods") else ""
    raise UserError(f"{path}: {form.form}{hint if '.tsv' in form.formats else ''}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        for number, line in enumerate(file, start=1):
            yield number, line.removesuffix(b"\n").removesuffix(b"\r")


def _tsv(path: Path) -> Iterator[Row]:
    lines = _lines(path)
    _, first = next(lines, (1, None))
    if first is None:
        raise UserError(f"{path} is empty; its first line should name the columns, tab-separated: source, target")
    try:
        columns = first.decode("utf-8").split("\t")
    except UnicodeDecodeError as error:
        utf16 = first.startswith((b"\xff\xfe", b"\xfe\xff"))
        hint = "it looks like UTF-16; " if utf16 else ""
        raise UserError(
            f"{path}:1: the header is not UTF-8 at byte {error.start}; {hint}save the file as UTF-8"
        ) from None
    _check_columns(path, columns)
    for number, raw in lines:
        yield number, _tsv_fields(raw, columns), raw, path


def _tsv_fields(raw: bytes, columns: Sequence[str]) -> dict[str, Any] | str:
    try:
        fields = raw.decode("utf-8").split("\t")
    except UnicodeDecodeError:
        return "bad UTF-8"
    if len(fields) != len(columns):
        return "empty line" if not raw else "missing column" if len(fields) < len(columns) else "extra column"
    return dict(zip(columns, fields, strict=True))


def _check_columns(path: Path, found: Sequence[str]) -> None:
    shown = ", ".join(repr(excerpt(name)) for name in found)
    missing = [name for name in PairRows.required if name not in found]
    if missing:
        raise UserError(f"{path}:1: no column {' and no column '.join(missing)}; found {shown}{_cure(path, found)}")
    for name in found:
        if name not in PairRows.columns:
            known = f"{did_you_mean(name, PairRows.columns)}; there are {', '.join(PairRows.columns)}"
            raise UserError(f"{path}:1: unknown column {name!r}{known}")
    if len(set(found)) < len(found):
        raise UserError(f"{path}:1: a column is named twice; found {shown}")


def _cure(path: Path, found: Sequence[str]) -> str:
    """What to do about a header without the columns it needs."""
    small = {name.strip().lower() for name in found}
    if len(found) == 1 and all(name in found[0].lower() for name in PairRows.required):
        return "; put a tab between the columns"
    if small.issuperset(PairRows.required):
        return "; write their names in small letters, without spaces"
    missing = next(name for name in PairRows.required if name not in found)
    near = [name for name in found if name not in PairRows.columns and did_you_mean(missing, [name])]
    if near:
        return f"; call {near[0]!r} {missing!r}"
    first = "; if this is an example already, put the line source<TAB>target before it"
    return first if path.suffix == ".tsv" else ""


def _jsonl(path: Path) -> Iterator[Row]:
    for number, raw in _lines(path):
        yield number, _json_fields(raw), raw, path


def _json_fields(raw: bytes) -> dict[str, Any] | str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "bad UTF-8"
    if not text.strip():
        return "empty line"
    try:
        fields = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        return "malformed JSON"
    return fields if isinstance(fields, dict) else "wrong type"


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key is named twice")
    return fields


def _parallel(path: Path) -> Iterator[Row]:
    source, target = path, path.with_name(path.name.removesuffix(_SOURCE) + _TARGET)
    if path.name.endswith(_TARGET):
        source, target = path.with_name(path.name.removesuffix(_TARGET) + _SOURCE), path
    for file, other in ((source, target), (target, source)):
        if not file.is_file():
            raise UserError(f"{file} is missing; it is read line by line beside {other}")
    counts = [sum(1 for _ in _lines(file)) for file in (source, target)]
    if counts[0] != counts[1]:
        raise UserError(
            f"{source} has {counts[0]:,} lines and {target} has {counts[1]:,}; "
            "line N of one should belong to line N of the other"
        )
    for (number, left), (_, right) in zip(_lines(source), _lines(target), strict=True):
        try:
            fields: dict[str, Any] | str = {"source": left.decode("utf-8")}
        except UnicodeDecodeError:
            yield number, "bad UTF-8", left, source
            continue
        try:
            fields["target"] = right.decode("utf-8")  # type: ignore[index]
        except UnicodeDecodeError:
            yield number, "bad UTF-8", right, target
            continue
        yield number, fields, left + b"\t" + right, source


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            number = 0
            for batch in file.iter_batches(batch_size=4096):
                columns = {name: _values(batch.column(name)) for name in batch.schema.names}
                for values in zip(*columns.values(), strict=True):
                    number += 1
                    bad = any(isinstance(value, UnicodeDecodeError) for value in values)
                    fields = "bad UTF-8" if bad else dict(zip(columns, values, strict=True))
                    yield number, fields, "\t".join(map(str, values)), path
    except pa.ArrowException as error:
        raise UserError(f"{path}: not a Parquet file that can be read: {error}") from None


def _values(column: Any) -> list[Any]:
    """Python values of an Arrow column; in place of a text that is not UTF-8 (Arrow does not check) stands
    the error.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    values: list[Any] = []
    for value in column.cast(pa.large_binary()).to_pylist():
        try:
            values.append(value if value is None else value.decode("utf-8"))
        except UnicodeDecodeError as error:
            values.append(error)
    return values


_FORMATS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    _SOURCE: _parallel,
    _TARGET: _parallel,
}
