"""The chat in a terminal, or line by line for a script: what is typed becomes a message or a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from metanlp.chat.lines import lines_of_file, lines_of_text
from metanlp.chat.screens import about
from metanlp.chat.session import Session
from metanlp.chat.teaching import Teaching
from metanlp.errors import UserError, did_you_mean
from metanlp.report.summary import counted

COMMANDS = ["/teach", "/both", "/who", "/person", "/reset", "/forget", "/export", "/help", "/quit"]


class Screen(Protocol):
    """Where it is typed and shown: `screens.py`."""

    def ask(self, prompt: str) -> str | None: ...  # None at the end
    def say(self, text: str) -> None: ...
    def stream(self, who: str, pieces: Iterator[str]) -> None: ...
    def side_by_side(self, names: tuple[str, str], pieces: Iterator[tuple[str, str]]) -> None: ...
    def taught(self, teaching: Teaching) -> None: ...  # begun: shows how it goes on


class Terminal:
    """`Terminal(session, screen, "Anna").run()` returns when it is left with `/quit` or at the end of what is typed."""

    def __init__(self, session: Session, screen: Screen, person: str | None) -> None:
        self.session, self.screen = session, screen
        self.name: str | None = None
        self.commands: dict[str, Callable[[str], None]] = {name: getattr(self, name[1:]) for name in COMMANDS}
        self._open = True
        if person is not None:
            self.person(person)

    def run(self) -> None:
        if self.name is None:
            self.screen.say("choose a person, or create one: /person NAME; /help tells the rest")
        while self._open and (typed := self.screen.ask(f"you to {self.name}> " if self.name else "> ")) is not None:
            try:
                self.take(typed.strip())
            except UserError as error:
                self.screen.say(str(error))

    def take(self, typed: str) -> None:
        """A message, or a command with what follows it."""
        if not typed.startswith("/"):
            if typed:
                self.screen.stream(name := self.theirs(), self.session.reply(name, typed))
            return
        command, _, rest = typed.partition(" ")
        if command not in self.commands:
            known = did_you_mean(command, self.commands)
            raise UserError(f"there is no command {command}{known}; there are {', '.join(self.commands)}")
        self.commands[command](rest.strip())

    def teach(self, rest: str) -> None:
        """[LINE or FILE] teach the person: a line of theirs, `what they hear => what they say`, or a .txt or .jsonl file"""
        name = self.theirs()
        file = Path(rest).expanduser()
        if file.suffix.lower() in (".txt", ".jsonl") and (file.is_file() or len(rest.split()) == 1):
            examples, rejected = lines_of_file(file)
            for row in rejected:
                self.screen.say(f"left out {row.file}:{row.line}: {row.reason}: {row.text}")
        else:
            examples = lines_of_text(rest or "\n".join(self._typed_lines(name)))
        self.screen.taught(self.session.teach(name, examples))

    def both(self, rest: str) -> None:
        """MESSAGE two answers side by side: the model's own, and the person's"""
        name = self.theirs()
        self.screen.side_by_side(("not adapted", name), self.session.both(name, rest))

    def who(self, rest: str) -> None:
        """who there is, and what was learnt of them"""
        people = self.session.people()
        for person in people:
            said = about(person, self.session.teaching(person.name))
            self.screen.say(("* " if person.name == self.name else "  ") + said)
        if not people:
            self.screen.say("there is nobody yet: /person NAME")

    def person(self, rest: str) -> None:
        """NAME talk with another person; a new one is created"""
        person = self.session.open(rest)
        self.name = person.name
        new = "is new: /teach LINE teaches a line of theirs, /help tells the rest"
        known = f"was taught {counted(person.lines, 'line')}" if person.lines else new
        self.screen.say(f"{person.name} {known}")
        teaching = self.session.teaching(person.name)
        if teaching and not teaching.ended:
            self.screen.taught(teaching)

    def reset(self, rest: str) -> None:
        """begin the conversation anew"""
        self.screen.say(f"the conversation begins anew; it had {counted(self.session.reset(self.theirs()), 'message')}")

    def forget(self, rest: str) -> None:
        """delete the person: lines, adapter, conversation"""
        self.screen.say(str(self.session.forget(self.theirs())))
        self.name = None

    def export(self, rest: str) -> None:
        """FOLDER write the person's PEFT adapter and lines there"""
        if not rest:
            raise UserError("say where: /export FOLDER")
        folder = self.session.export(self.theirs(), rest)
        self.screen.say(f"wrote {folder}: a PEFT adapter, and the lines it was made from")

    def help(self, rest: str) -> None:
        """this"""
        for name, command in self.commands.items():
            self.screen.say(f"{name:<8} {inspect.getdoc(command)}")
        self.screen.say("whatever else you type is said to the person")

    def quit(self, rest: str) -> None:
        """leave; what was taught is kept"""
        self._open = False

    def theirs(self) -> str:
        if self.name is None:
            raise UserError("choose a person first: /person NAME")
        return self.name

    def _typed_lines(self, name: str) -> Iterator[str]:
        self.screen.say(f"type lines of {name}, as they would say them; an empty line ends")
        while line := self.screen.ask("| "):
            yield line
