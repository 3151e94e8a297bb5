"""What is shown in lines."""

from __future__ import annotations

import pytest

from metanlp.chat.screens import Lines


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([], "not adapted: \nAnna: \n"),
        ([("a", "x"), ("b\n", ""), ("", "y")], "not adapted: ab \nAnna: xy\n"),
    ],
)
def test_two_answers_one_below_the_other(
    pieces: list[tuple[str, str]], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Lines().side_by_side(("not adapted", "Anna"), iter(pieces))
    assert capsys.readouterr().out == shown
