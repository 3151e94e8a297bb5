"""What is shown, in lines and in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from metanlp.chat.screens import Colours, Lines
from metanlp.chat.teaching import State, Teaching


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


def test_a_teaching_that_others_replace_ends_in_silence(coloured: tuple[Colours, Callable[[], str]]) -> None:
    """Nothing of it is lost: the next one learns its lines too, and says from how many it does. Or all was forgotten."""
    screen, shown = coloured
    teachings = [Teaching("Anna", examples) for examples in (1, 2)]
    ends: list[State] = ["replaced", "ready"]
    for teaching, end in zip(teachings, ends, strict=True):
        screen.taught(teaching)
        teaching.end(end)
    assert screen.ask("> ") is None
    on = "go on talking, the line at the bottom tells how far it is"
    assert " ".join(shown().split()) == (
        f"learning Anna from 1 line; {on} learning Anna from 2 lines; {on} "
        "Anna has learnt 2 lines in 0.0 s, and answers with that from now on"
    )
