"""A column of a table is filled, and every other byte stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanlp.errors import UserError
from metanlp.pipelines.table import Table


def table(tmp_path: Path, content: bytes, column: str = "source", to: str = "target") -> Table:
    path = tmp_path / "table.tsv"
    path.write_bytes(content)
    return Table(path, column, to)


def filled(made: Table) -> bytes:
    return b"".join(made.filled([source.upper() for source in made.sources]))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"source\na\nb c\n", b"source\ttarget\na\tA\nb c\tB C\n"),
        (b"source\na", b"source\ttarget\na\tA"),
        (b"source\r\na\r\n", b"source\ttarget\r\na\tA\r\n"),
        (b"\xef\xbb\xbfsource\tid\n\xc3\xa4\t7\n", b"\xef\xbb\xbfsource\tid\ttarget\n\xc3\xa4\t7\t\xc3\x84\n"),
        (b"source\n\n\na\n", b"source\ttarget\n\t\n\t\na\tA\n"),
        (b"id\ttarget\tsource\n1\t\ta\n2\told\tb\n3\t \tc\n", b"id\ttarget\tsource\n1\tA\ta\n2\told\tb\n3\tC\tc\n"),
        (b'source\tx\n"a\t\xff\n', b'source\tx\ttarget\n"a\t\xff\t"A\n'),
        (b"source\n", b"source\ttarget\n"),
        (b"source", b"source\ttarget"),
    ],
)
def test_rows_in_are_rows_out(tmp_path: Path, before: bytes, after: bytes) -> None:
    assert filled(table(tmp_path, before)) == after


def test_what_would_break_a_row_becomes_a_space(tmp_path: Path) -> None:
    made = table(tmp_path, b"source\na\n")
    assert b"".join(made.filled(["b\tc\nd\u2028e"])) == b"source\ttarget\na\tb c d e\n"


@given(st.lists(st.tuples(*[st.binary(max_size=5).map(lambda raw: raw.translate(None, b"\t\n\r"))] * 2), max_size=6))
def test_other_columns_are_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[bytes, bytes]]
) -> None:
    content = b"source\tother\tmore\n" + b"".join(b"x\t%b\t%b\n" % row for row in rows)
    found = filled(table(tmp_path_factory.mktemp("table"), content))
    assert [line.rsplit(b"\t", 1)[0] for line in found.split(b"\n")[:-1]] == content.split(b"\n")[:-1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"sauce\na\n", r"no column 'source' \(did you mean 'sauce'\?\); found sauce"),
        (b"source\tid\na\nb\t1\nc\t2\t3\n", r"2 problems\n  line 2 has 1 fields, the header 2: a\n  line 4 has 3"),
        (b"source\tid\tid\na\tb\tc\n", "a column is named twice; found source, id, id"),
        (b"source\n\xff\n", "line 2: not UTF-8 at byte 0 of the column"),
        (b"so\xffurce\na\n", ":1: the header is not UTF-8 at byte 2"),
        (b"source\tid\n" + b"a\n" * 30, "and 20 more"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        table(tmp_path, content)


def test_other_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be translated into itself"):
        table(tmp_path, b"source\na\n", to="source")
    with pytest.raises(UserError, match="No such file"):
        Table(tmp_path / "none.tsv", "source", "target")
