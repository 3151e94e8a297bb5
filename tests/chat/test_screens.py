"""What is shown, in lines and in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from metanlp.chat.screens import Colours, Lines


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


T = TypeVar("T")


@pytest.fixture
def coloured(capsys: pytest.CaptureFixture[str]) -> tuple[Colours, Callable[[], str]]:
    """The terminal's screen, and what it has shown."""
    pytest.importorskip("prompt_toolkit")
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import DummyInput
    from prompt_toolkit.output import DummyOutput
    from rich.console import Console

    with create_app_session(input=DummyInput(), output=DummyOutput()):
        screen = Colours([])
    screen.console = Console(width=60, highlight=False)
    return screen, lambda: capsys.readouterr().out


def test_ctrl_c_stops_the_answers_and_not_the_chat(coloured: tuple[Colours, Callable[[], str]]) -> None:
    screen, shown = coloured

    def stopped(piece: T) -> Iterator[T]:
        yield piece
        raise KeyboardInterrupt

    screen.stream("Anna", stopped("so far"))
    assert shown() == "Anna: so far...\n"
    screen.side_by_side(("not adapted", "Anna"), stopped(("one", "other")))
    answers = shown()
    assert "one" in answers
    assert "other" in answers


def test_a_name_is_no_markup(coloured: tuple[Colours, Callable[[], str]]) -> None:
    screen, shown = coloured
    screen.side_by_side(("not adapted", "[red]x"), iter([("[bold]a", "[/]")]))
    answers = shown()
    assert all(text in answers for text in ("[red]x", "[bold]a", "[/]"))
