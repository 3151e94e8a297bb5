"""Who may run the model now: one at a time, and learning gives way to replies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

QUIET = 0.2  # seconds without a wish for a reply, after which a step of learning begins
MOST = 5.0  # seconds that a step of learning waits at most: where many talk all the time, it goes on all the same


class Turns:
    """A reply takes a turn for every piece, learning one for every step.

    Nobody keeps the model between two turns, so a reply that nobody reads to its end is in nobody's way.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken = False
        self._waiting = 0  # replies that have asked for a turn
        self._wanted = 0.0  # when a reply was last done with its turn
        self._owed = 0  # steps of learning that have waited long enough: the next turns are theirs

    @contextmanager
    def reply(self) -> Iterator[None]:
        """A turn as soon as the model is free and no step of learning has waited too long."""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._taken and not self._owed)
                self._taken = True
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            self._wanted = time.monotonic()
            self._free()

    @contextmanager
    def learn(self) -> Iterator[None]:
        """A turn when the model is free and no reply is under way, or the next one where that takes longer than `MOST`."""
        latest, owed = time.monotonic() + MOST, False
        with self._changed:
            try:
                while self._taken or not (owed or self._quiet()):
                    self._changed.wait(QUIET / 4)
                    if not owed and time.monotonic() > latest:
                        owed = True
                        self._owed += 1
                self._taken = True
            finally:
                self._owed -= owed
        try:
            yield
        finally:
            self._free()

    def _quiet(self) -> bool:
        return not self._waiting and time.monotonic() - self._wanted > QUIET

    def _free(self) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()
