"""Errors that help: what was asked, what was found, what would work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The user's mistake, told in clean sentences without a traceback (exit code 2)."""


class Stopped(Exception):
    """Asked to stop by the signal in `args[0]`; all is saved, and the same command goes on from there."""


class Problems:
    """Collects problems so that a person sees all of them at once; `raise_if_any` raises one UserError."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        self.found.append(problem)

    def raise_if_any(self) -> None:
        if self.found:
            count = "1 problem" if len(self.found) == 1 else f"{len(self.found)} problems"
            raise UserError("\n  ".join([f"{self.subject}: {count}", *self.found]))


def first_line(error: Exception) -> str:
    """What an error says first; its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def did_you_mean(asked: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing where no known name is near."""
    near = difflib.get_close_matches(asked, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
