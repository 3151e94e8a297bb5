"""The background thread that learns people: whoever waits is learnt side by side with the others who do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Thread

from metanlp.chat.model import Model
from metanlp.chat.teaching import Teaching
from metanlp.config.recipe import Adapting
from metanlp.data.types import Example
from metanlp.weights import Weights

TOGETHER = 8  # people learnt side by side at most


class Replaced(Exception):
    """Nobody waits any more for what is being learnt."""


class Learning:
    """`keep(teaching, lines, weights)` is called with what was learnt, in the background thread.

    Whatever goes wrong is told as that teaching's failure; the thread lives on.
    """

    def __init__(self, model: Model, keep: Callable[[Teaching, Sequence[Example], Weights], None]) -> None:
        self.model, self.keep = model, keep
        self._waiting: list[tuple[Teaching, Sequence[Example]]] = []
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, name="learning", daemon=True)
        self._thread.start()

    def add(self, teaching: Teaching, lines: Sequence[Example]) -> None:
        with self._changed:
            self._waiting.append((teaching, lines))
            self._changed.notify()

    def close(self) -> None:
        """End the thread, after the step that it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                wanted = [(each, how) for each in self._waiting if (how := self._how(*each))]
                taken = [each for each, how in wanted if how == wanted[0][1]][:TOGETHER]
                self._waiting = [each for each, _ in wanted if each not in taken]
            if taken:
                self._learn(taken, wanted[0][1])

    def _how(self, teaching: Teaching, lines: Sequence[Example]) -> Adapting | None:
        """How a person is learnt; None where nobody waits for it any more, or nobody can say, and that is told."""
        try:
            return None if teaching.ended else self.model.adapting(lines)
        except Exception as error:
            teaching.end("failed", _told(error))
            return None

    def _learn(self, wanted: list[tuple[Teaching, Sequence[Example]]], adapting: Adapting) -> None:
        begun = time.monotonic()
        teachings = [teaching for teaching, _ in wanted]
        for teaching in teachings:
            teaching.begin(adapting.steps)

        def after_step() -> None:
            for teaching in teachings:
                teaching.done += 1
                teaching.seconds = time.monotonic() - begun
            if self._closed or all(teaching.ended for teaching in teachings):
                raise Replaced

        try:
            found = self.model.learn([lines for _, lines in wanted], adapting, after_step)
            for (teaching, lines), weights in zip(wanted, found, strict=True):
                if not teaching.ended:
                    self.keep(teaching, lines, weights)
        except Replaced:
            return
        except Exception as error:
            left = [(teaching, lines) for teaching, lines in wanted if not teaching.ended]
            if len(wanted) > 1:
                for each in left:  # one person's mistake is no other's
                    self._learn([each], adapting)
            for teaching, _ in left:
                teaching.end("failed", _told(error))


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
