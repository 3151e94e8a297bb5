"""Two ways to show the chat: a terminal with colours and progress, and plain lines for scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from metanlp.chat.people import Person
from metanlp.chat.teaching import Teaching
from metanlp.errors import UserError
from metanlp.report.summary import counted

SECONDS_BETWEEN_LOOKS = 0.5


def told(teaching: Teaching) -> str:
    """How a teaching stands, in words."""
    if teaching.state == "ready":
        lines = counted(teaching.examples, "line")
        return f"{teaching.person} has learnt {lines} in {teaching.seconds:.1f} s, and answers with that from now on"
    if teaching.state == "failed":
        return f"{teaching.person} could not be learnt: {teaching.error}"
    if teaching.state == "replaced":
        return f"the teaching of {teaching.person} was given up for another"
    return f"learning {teaching.person}: {f'step {teaching.done} of {teaching.steps}' if teaching.steps else 'waiting'}"


def about(person: Person, teaching: Teaching | None) -> str:
    """What was learnt of somebody, in words; `teaching` is their last teaching."""
    learnt, said = person.learnt, f"{person.name}: {counted(person.lines, 'line')}"
    if learnt and person.adapter:
        said += (
            f", of which {learnt.lines} learnt in {learnt.steps} steps and {learnt.seconds:.0f} s, "
            f"an adapter of {person.adapter_bytes / 1e6:.2f} MB"
        )
    return said + (f"; learning, step {teaching.done} of {teaching.steps}" if teaching and not teaching.ended else "")


class Lines:
    """Lines in, lines out. A script goes on when what it taught is learnt."""

    def ask(self, prompt: str) -> str | None:
        line = sys.stdin.buffer.readline()
        try:
            return line.decode("utf-8").rstrip("\r\n") if line else None
        except UnicodeDecodeError as error:
            raise UserError(f"standard input is not UTF-8 at byte {error.start} of a line") from None

    def say(self, text: str) -> None:
        print(text, flush=True)

    def stream(self, who: str, pieces: Iterator[str]) -> None:
        print(f"{who}: ", end="")
        for piece in pieces:
            print(piece.replace("\n", " "), end="", flush=True)
        print(flush=True)

    def side_by_side(self, names: tuple[str, str], pieces: Iterator[tuple[str, str]]) -> None:
        found = list(pieces)
        for place, name in enumerate(names):
            self.stream(name, (pair[place] for pair in found))

    def taught(self, teaching: Teaching) -> None:
        shown = ""
        while not teaching.wait(SECONDS_BETWEEN_LOOKS):
            if (now := told(teaching)) != shown:
                print(now, file=sys.stderr, flush=True)
                shown = now
        self.say(told(teaching))


class Colours:
    """A terminal: answers stream, Ctrl-C stops them, and the bottom line tells of teachings while the chat goes on."""

    def __init__(self, commands: list[str]) -> None:
        try:
            from prompt_toolkit import PromptSession
            from prompt_toolkit.completion import WordCompleter
        except ImportError:
            raise UserError("a chat in the terminal needs prompt_toolkit; run: pip install 'metanlp[chat]'") from None
        from rich.console import Console

        self.console = Console(highlight=False)
        self.teachings: list[Teaching] = []
        words = WordCompleter(commands, sentence=True)
        self.prompt: Any = PromptSession(completer=words, complete_while_typing=True, refresh_interval=0.5)

    def ask(self, prompt: str) -> str | None:
        from prompt_toolkit.patch_stdout import patch_stdout

        for teaching in [teaching for teaching in self.teachings if teaching.ended]:
            self.teachings.remove(teaching)
            if teaching.state != "replaced":  # whoever replaced it knows
                self.say(told(teaching))
        try:
            with patch_stdout():
                return str(self.prompt.prompt(prompt, bottom_toolbar=self._bottom))
        except EOFError:
            return None

    def say(self, text: str) -> None:
        self.console.print(text, style="dim", markup=False)

    def stream(self, who: str, pieces: Iterator[str]) -> None:
        self.console.print(f"{who}: ", end="", style="bold", markup=False)
        try:
            for piece in pieces:
                self.console.print(piece, end="", markup=False, soft_wrap=True)
        except KeyboardInterrupt:
            self.console.print("...", end="")
        self.console.print()

    def side_by_side(self, names: tuple[str, str], pieces: Iterator[tuple[str, str]]) -> None:
        from rich.live import Live
        from rich.table import Column, Table
        from rich.text import Text

        texts = ["", ""]

        def table() -> Table:
            shown = Table(*(Column(Text(name), ratio=1) for name in names), expand=True)
            shown.add_row(*map(Text, texts))
            return shown

        with suppress(KeyboardInterrupt), Live(table(), console=self.console, refresh_per_second=8) as live:
            for pair in pieces:
                texts = [text + piece for text, piece in zip(texts, pair, strict=True)]
                live.update(table())

    def taught(self, teaching: Teaching) -> None:
        self.teachings.append(teaching)
        lines = counted(teaching.examples, "line")
        self.say(f"learning {teaching.person} from {lines}; go on talking, the line at the bottom tells how far it is")

    def _bottom(self) -> str | None:
        return "; ".join(map(told, self.teachings)) or None
