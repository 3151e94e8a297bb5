"""Progress on the standard error stream: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Advance = Callable[[int, str], None]  # how many more are done, and a note to show beside them

SECONDS_BETWEEN_LINES = 20.0


@contextmanager
def progress(label: str, total: int, done: int = 0, show: bool = True) -> Iterator[Advance]:
    """Yields `advance(count, note)`. `done` are already done, as after a resume; `show` False is silent."""
    if not show:
        yield lambda count, note: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total, completed=done, note="")
            yield lambda count, note: bar.update(task, advance=count, note=note)
    else:
        yield _lines(label, total, done)


def _lines(label: str, total: int, done: int) -> Advance:
    state = {"done": done, "last": time.monotonic()}

    def advance(count: int, note: str) -> None:
        state["done"] += count
        if state["done"] >= total or time.monotonic() - state["last"] > SECONDS_BETWEEN_LINES:
            state["last"] = time.monotonic()
            print(f"{label}: {state['done']}/{total} {note}".rstrip(), file=sys.stderr, flush=True)

    return advance


class Watched(Sequence[Any]):
    """A sequence that advances a progress bar while it is walked through."""

    def __init__(self, items: Sequence[Any], advance: Advance) -> None:
        self.items, self.advance = items, advance

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            yield item
            self.advance(1, "")
