"""Episodes without state: training episode i is a function of (seed, i), an evaluation episode of (seed, task
name).

Both obey the marks of the examples: `query` ones are never learnt from, `support` ones never judged on;
unmarked ones are either, drawn by the seed. Drawing costs what is drawn (and, of a task in groups, a look at how many
these are), whatever the number and the size of the tasks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from metanlp.data.drawing import OneByOne
from metanlp.data.drawing_groups import InGroups
from metanlp.data.leaving_out import LeavingOneOut
from metanlp.data.seeds import Draws, seed_of
from metanlp.data.split import TaskSplit
from metanlp.data.types import Episode, Example
from metanlp.errors import UserError

_SHOWN = 10  # tasks named in an error


class EpisodeSampler:
    """`sampler[i]` is training episode i: a task drawn with p ~ size^(1/temperature), and `support` and
    `query` examples.

    A task too small for that is split in proportion, at least one example each, and its examples are repeated
    in turn, so that all episodes have the same shape. Of a task in groups (dialogues) the support comes from earlier
    groups than the queries. Raises UserError naming the tasks with too few examples even for that.
    """

    def __init__(self, split: TaskSplit, seed: int, support: int, query: int, temperature: float = 1.0) -> None:
        if len(split) == 0:
            raise UserError(f"the split {split.split} has no tasks to draw from")
        self.split, self.seed, self.support, self.query = split, seed, support, query
        self._drawing = _drawing_of(split)
        self._refuse_tasks_too_small()
        weights = (split.sizes / split.sizes.max()) ** (1 / temperature)
        self._cumulative = np.cumsum(weights)  # (tasks,)

    def __getitem__(self, index: int) -> Episode:
        if index < 0:
            raise IndexError("episodes are numbered from 0, without end")
        draws = Draws(self.seed, "task", index)
        point = draws.uniform() * self._cumulative[-1]
        task = min(int(np.searchsorted(self._cumulative, point, side="right")), len(self.split) - 1)
        support, query = self._drawing.for_training(task, self.support, self.query, (self.seed, "examples", index))
        name = self.split.names[task]
        return Episode(name, self.split.info(name), _cycle(support, self.support), _cycle(query, self.query), index)

    def at_step(self, step: int, rank: int, world_size: int, meta_batch: int, stack: int) -> list[list[Episode]]:
        """This rank's part of an outer step's episodes, in stacks of `stack` (the last may be smaller).

        Episodes of like length share a stack, so that little of it is padding. The stacks are dealt out to
        the ranks in turn, so that any number of ranks sees the same stacks.
        """
        indices = range(step * meta_batch, (step + 1) * meta_batch)
        if stack == 1:
            return [[self[index]] for index in indices[rank::world_size]]
        drawn = [self[index] for index in indices]
        drawn.sort(key=lambda episode: (_longest(episode), episode.index))
        return [drawn[at : at + stack] for at in range(0, meta_batch, stack)][rank::world_size]

    def _refuse_tasks_too_small(self) -> None:
        too_small = np.flatnonzero(self._drawing.too_small(self.support))
        small = [self.split.names[index] for index in too_small]
        if small:
            more = f" and {len(small) - _SHOWN} more" if len(small) > _SHOWN else ""
            names = ", ".join(small[:_SHOWN]) + more
            raise UserError(
                f"{len(small)} of the {len(self.split)} tasks of the split {self.split.split} have "
                f"{self._drawing.needs}: {names}"
            )


def evaluation_episode(
    split: TaskSplit,
    task_name: str,
    shots: int,
    seed: int,
    queries: int | None = None,
    max_shots: int | None = None,
) -> Episode:
    """The episode of `shots` support examples that belongs to (seed, task name), whatever other tasks there
    are.

    4 shots are the first of 16, those the first of 64. Of a task in groups (dialogues) shots count groups, whole
    ones: the latest before the queries, which are of the last groups; so 3 are among the 5, in order of time.

    The queries, `queries` of them or as many as there are, are the same for every number of shots up to
    `max_shots`: name it wherever numbers of shots are compared, since in a small task the queries are what it
    leaves over. Raises UserError where the task has too few examples.
    """
    most = shots if max_shots is None else max_shots
    index = split.index(task_name)
    drawing = _drawing_of(split)
    if shortage := drawing.shortage(index, most):
        raise UserError(shortage)
    if shots > most:
        raise ValueError(f"{shots} shots were asked for where max_shots is {most}")
    purpose = (seed, "evaluation", task_name)
    learnt, judged = drawing.for_evaluation(index, shots, most, queries, purpose)
    return Episode(task_name, split.info(task_name), learnt, judged, seed_of(*purpose))


def left_out_episodes(
    split: TaskSplit, task_name: str, shots: int, seed: int, queries: int | None = None, folds: int | None = None
) -> list[Episode]:
    """The episodes that belong to (seed, task name) where each of its groups is left out in turn, or `folds` of them.

    The support of each is `shots` other groups, or all where there are fewer; 3 are among the 5. The queries, of each
    group `queries` at most, are the same for every number of shots. UserError where the task has too few groups.
    """
    index, drawing = split.index(task_name), LeavingOneOut(split)
    if shortage := drawing.shortage(index, shots):
        raise UserError(shortage)
    return drawing.episodes(index, shots, queries, folds, (seed, "evaluation", task_name))


def shots_within(split: TaskSplit, task_name: str, shots: Sequence[int], protocol: str = "later") -> list[int]:
    """Those of `shots` that the task has enough examples (or groups) for, and a query besides."""
    index, drawing = split.index(task_name), _judging_of(split, protocol)
    return [count for count in shots if not drawing.shortage(index, count)]


def some_of(split: TaskSplit, count: int | None) -> TaskSplit:
    """`count` tasks of the split, or all, by a fixed random order: fewer are among more."""
    if count is None or count >= len(split):
        return split
    ordered = sorted(split.names, key=lambda name: (seed_of("tasks", name), name))
    return split.only(sorted(ordered[:count]))


def columns_of(split: TaskSplit, shots: Sequence[int], protocol: str = "later") -> dict[int, list[str]]:
    """For each number of shots the tasks with enough examples; UserError where some number is too large for all of them."""
    within = {name: set(shots_within(split, name, shots, protocol)) for name in split.names}
    columns = {count: [name for name, counts in within.items() if count in counts] for count in shots}
    if impossible := ", ".join(str(count) for count, names in columns.items() if not names):
        most = max((_most_of(split, index, protocol) for index in range(len(split))), default=-1)
        works = f"the largest number that works is {most}" if most >= 0 else "none of them has a single query"
        raise UserError(f"no task of the split {split.split} has enough examples for {impossible} shots; {works}")
    return columns


def few_shots(split: TaskSplit) -> int:
    """How many shots a quick look takes: 16 examples or, where shots count groups, one."""
    return _drawing_of(split).few


def shortages(split: TaskSplit, max_shots: int) -> list[str]:
    """A sentence for every task with too few examples for `max_shots` and a query."""
    drawing = _drawing_of(split)
    return [text for index in range(len(split)) if (text := drawing.shortage(index, max_shots))]


def _most_of(split: TaskSplit, index: int, protocol: str) -> int:
    """The largest number of shots of one task; -1 where it has no query."""
    drawing, numbers = _judging_of(split, protocol), range(int(split.sizes[index]) + 1)
    return bisect_left(numbers, True, key=lambda shots: bool(drawing.shortage(index, shots))) - 1


def _drawing_of(split: TaskSplit) -> OneByOne | InGroups:
    return InGroups(split) if split.grouped else OneByOne(split)


def _judging_of(split: TaskSplit, protocol: str) -> OneByOne | InGroups | LeavingOneOut:
    return LeavingOneOut(split) if protocol == "leave_one_out" else _drawing_of(split)


def _cycle(examples: list[Example], count: int) -> list[Example]:
    return [examples[place % len(examples)] for place in range(count)]


def _longest(episode: Episode) -> int:
    """Characters of its longest target."""
    return max(len(example.target) for example in [*episode.support, *episode.query])
