"""What is typed or dropped -> examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanlp.chat.lines import NOTHING_SAID, lines_of_file, lines_of_text, one_line
from metanlp.chat.people import People
from metanlp.data.types import Example
from metanlp.errors import UserError


def test_a_line_alone_and_a_line_with_what_it_answers() -> None:
    typed = "Arr!\n\nHow are you? => Fine => very\r\nHello\tAhoy\n  spaced  \nArr!\n=> odd"
    assert lines_of_text(typed) == [
        Example(NOTHING_SAID, "Arr!"),
        Example("How are you?", "Fine => very"),
        Example("Hello", "Ahoy"),
        Example(NOTHING_SAID, "spaced"),
        Example(NOTHING_SAID, "odd"),
    ]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "there is no line to learn"),
        (" \n\t\n", "there is no line to learn"),
        ("=>\n => ", "there is no line to learn"),
        ("ok\nHello => \n", "line 2 says nothing after"),
        ("x" * 2001, "line 1 has more than 2,000 characters"),
    ],
)
def test_what_cannot_be_learnt_is_told(typed: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        lines_of_text(typed)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_whatever_is_typed_can_be_kept(tmp_path_factory: pytest.TempPathFactory, typed: str) -> None:
    """As rows of dialogues, which are read more strictly."""
    try:
        lines = lines_of_text(typed)
    except UserError:
        return
    people = People(tmp_path_factory.mktemp("people"))
    numbered = [Example(line.source, line.target, group=str(n)) for n, line in enumerate(lines)]
    assert people.lines(people.keep("Anna", numbered)) == numbered


def test_files(tmp_path: Path) -> None:
    text, rows = tmp_path / "lines.txt", tmp_path / "lines.jsonl"
    text.write_text("\ufeffArr!\nHello => Ahoy\n", encoding="utf-8")
    assert lines_of_file(text) == ([Example(NOTHING_SAID, "Arr!"), Example("Hello", "Ahoy")], [])
    rows.write_text('{"dialogue": "7", "history": ["Hi!", "Ho!", "Hm?"], "reply": "Ha!"}\n{"reply": 1}\n')
    examples, rejected = lines_of_file(rows)
    assert examples == [Example("Hi!\nHo!\nHm?", "Ha!", group="7")]
    assert [(row.line, row.reason) for row in rejected] == [(2, "missing column")]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("chat.zip", b"", "which data_scripts make"),
        ("a.txt", b"abc\xff", "not UTF-8 at byte 3"),
        ("a.txt", b"\n", "no line to learn"),
        ("a.jsonl", b"{}\n", "line 1: missing column"),
    ],
)
def test_files_that_are_refused(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=says):
        lines_of_file(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        lines_of_file(tmp_path / "a.txt")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_message_is_one_line_without_control_characters(text: str) -> None:
    line = one_line(text)
    assert "\n" not in line
    assert line == one_line(line) == line.strip()
