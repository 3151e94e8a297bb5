"""The tasks of one split: their names, sizes and facts, and their examples as lazy sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np

from metanlp.data.arrow import ArrowRows
from metanlp.data.seeds import seed_of
from metanlp.data.types import Example, Task
from metanlp.errors import UserError, did_you_mean


class Examples(Sequence[Example]):
    """A task's examples in the order of the file, read when asked for. Slices are as lazy."""

    def __init__(self, rows: ArrowRows, numbers: range) -> None:
        self._rows, self._numbers = rows, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return Examples(self._rows, self._numbers[index])
        return self._rows.example(self._numbers[index])

    def __iter__(self) -> Iterator[Example]:
        return map(self._rows.example, self._numbers)


class TaskSplit:
    """Tasks sorted by name. `names[i]`, `sizes[i]` and `task(i)` belong together.

    `pools` is (tasks, 3): how many examples of each task are unmarked, marked `support`, marked `query`. Where the
    examples belong to groups (dialogues), these stand in order of time, and `groups_of` tells them apart.
    """

    def __init__(
        self,
        split: str,
        names: Sequence[str],
        counts: np.ndarray,
        starts: np.ndarray,
        rows: ArrowRows,
        facts: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.split = split
        self.names = list(names)
        self.pools, self.groups = counts[:, :3], counts[:, 3]  # (tasks, 3), (tasks,)
        self.starts, self._first_groups = starts.T  # (tasks,) the number of each task's first row, and first group
        self.rows = rows
        self._counts, self._starts, self._facts = counts, starts, facts

    @cached_property
    def sizes(self) -> np.ndarray:
        """(tasks,) how many examples each task has."""
        return self.pools.sum(axis=1)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"<{self.split}: {len(self)} tasks, {int(self.sizes.sum()):,} examples>"

    def index(self, name: str) -> int:
        if name not in self._indices:
            near = did_you_mean(name, self.names)
            raise UserError(f"no task {name!r} among the {len(self)} of the split {self.split}{near}")
        return self._indices[name]

    def info(self, name: str) -> Mapping[str, Any]:
        """What collection.yaml says about the task; nothing if it says nothing."""
        return self._facts.get(name, {})

    def task(self, which: int | str) -> Task:
        index = self.index(which) if isinstance(which, str) else range(len(self))[which]
        start, name = int(self.starts[index]), self.names[index]
        return Task(name, Examples(self.rows, range(start, start + int(self.sizes[index]))), self.info(name))

    def __iter__(self) -> Iterator[Task]:
        return map(self.task, range(len(self)))

    def example_by_pool(self, index: int, place: int) -> Example:
        """A task's example at `place`, counting the unmarked ones first, then `support`, then `query`."""
        start = int(self.starts[index])
        return self.rows.example(start + int(self.rows.order[start + place]))

    @cached_property
    def grouped(self) -> bool:
        return bool(self.groups.any())

    def groups_of(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(groups + 1,) where a task's groups begin among its examples, and where the last ends; (groups,) their marks,
        0 for none, 1 for `support`, 2 for `query`.
        """
        first = int(self._first_groups[index])
        found = self.rows.groups[first : first + int(self.groups[index])]
        return np.append(found[:, 0], self.sizes[index]), found[:, 1]

    def only(self, names: Iterable[str]) -> TaskSplit:
        """The same split with these tasks alone."""
        chosen = sorted({self.index(name) for name in names})
        names = [self.names[index] for index in chosen]
        return TaskSplit(self.split, names, self._counts[chosen], self._starts[chosen], self.rows, self._facts)

    def share(self, first: float, last: float, seed: int) -> TaskSplit:
        """The tasks from one fraction to another of a random order that depends on the seed and the names
        alone.

        Shares that do not overlap have no task in common: `share(0, .5, seed)` and `share(.5, 1, seed)` make
        up the whole.
        """
        order = sorted(self.names, key=lambda name: (seed_of(seed, "share", name), name))
        return self.only(order[round(first * len(order)) : round(last * len(order))])
