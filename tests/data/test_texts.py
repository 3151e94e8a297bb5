"""Text files: what is read, and what is said of those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanlp.data.texts import read_texts
from metanlp.errors import UserError


def test_lines_that_are_not_blank(tmp_path: Path) -> None:
    path = tmp_path / "tyv.txt"
    path.write_bytes("\ufeffтыва дыл\r\n\n  чон \u2028 улус\n".encode())
    assert read_texts(path) == ["тыва дыл", "чон \u2028 улус"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"ok\n\xff\n", r"a.txt, line 2: not UTF-8 at byte 0"),
        ("a.txt", b" \n\n", r"a.txt has no text in it"),
        ("a.tsv", b"source\ttarget\n", r"a.tsv is a file of examples; wanted is plain text, one sentence a line"),
    ],
)
def test_what_is_refused(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_texts(tmp_path / name)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.txt cannot be read: No such file"):
        read_texts(tmp_path / "none.txt")
