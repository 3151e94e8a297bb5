"""A teaching that goes on in the background: how far it is, and how it ended."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

State = Literal["waiting", "learning", "ready", "replaced", "failed"]


@dataclass(eq=False)
class Teaching:
    """Read it at any time; only the session writes to it.

    `done` of `steps` are taken, 0 of 0 while it waits. It ends as "ready" (the person answers with it), "replaced" (by more
    lines, or the person was forgotten) or "failed" (`error` says why).
    """

    person: str
    examples: int  # that it learns from: all lines of the person
    state: State = "waiting"
    steps: int = 0
    done: int = 0
    seconds: float = 0.0  # of learning, and of waiting for replies meanwhile
    error: str = ""
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long; returns whether it has come."""
        return self._ended.wait(seconds)

    def begin(self, steps: int) -> None:
        """The session's to call, also where learning begins once more after another person's has failed."""
        if not self.ended:
            self.state, self.steps, self.done = "learning", steps, 0

    def end(self, state: State, error: str = "") -> None:
        """The session's to call. What has ended stays as it ended."""
        if not self.ended:
            self.state, self.error = state, error
            self._ended.set()
