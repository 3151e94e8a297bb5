"""Which examples of a task an episode gets, where they belong to groups in order of time, as replies to dialogues.

A cut falls between two groups: what is learnt from stands before it, what is judged on after it. So no group is ever on
both sides, and nothing is judged on that was said before what is learnt from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metanlp.data.drawing import Drawn, Purpose
from metanlp.data.seeds import Draws, Shuffle
from metanlp.data.split import TaskSplit
from metanlp.data.types import Example


class InGroups:
    """Draws from groups: for training single examples of them, for evaluation whole ones, the latest."""

    few = 1  # as in `OneByOne`; a dialogue has a dozen of a person's replies
    needs = "no dialogue to learn from and a later one to be judged on; add dialogues or remove tasks"

    def __init__(self, split: TaskSplit) -> None:
        self.split = split

    def too_small(self, support: int) -> np.ndarray:
        """(tasks,) whether a task has too few groups to train on."""
        return np.array([not len(self._of(index).judged_after(min(support, 1))) for index in range(len(self.split))])

    def shortage(self, index: int, most: int) -> str:
        """What a task lacks for `most` groups to learn from and a later query, as a sentence; "" where nothing."""
        groups = self._of(index)
        if len(groups.judged_after(most)):
            return ""
        return (
            f"task {self.split.names[index]!r} has {counted(groups)}, too few for {most} shots and a later one to be judged "
            "on; ask for fewer shots or add dialogues"
        )

    def for_training(self, index: int, support: int, query: int, purpose: Purpose) -> Drawn:
        """So many different examples of either side of a cut, drawn of those that leave the most of what is asked for."""
        groups = self._of(index)
        learnt, judged = groups.counts(groups.learnt), groups.counts(groups.judged)  # (groups + 1,) up to every cut
        later = judged[-1] - judged
        lacking = np.maximum(support - learnt, 0) + np.maximum(query - later, 0)
        cuts = np.flatnonzero((later > 0) & (learnt >= min(support, 1)))
        cuts = cuts[lacking[cuts] == lacking[cuts].min()]
        cut = cuts[Draws(*purpose, "cut").below([len(cuts)])[0] if support else 0]
        before, after = int(learnt[cut]), int(later[cut])
        supports = Shuffle(Draws(*purpose)).take(min(support, before), before)
        queries = Shuffle(Draws(*purpose, "query")).take(min(query, after), after)
        return (
            self._read(index, groups.rows(learnt, supports)),
            self._read(index, groups.rows(judged, [int(judged[cut]) + place for place in queries])),
        )

    def for_evaluation(self, index: int, shots: int, most: int, queries: int | None, purpose: Purpose) -> Drawn:
        """`shots` whole groups, and the last examples after them; of the seed, neither depends on `purpose`."""
        groups = self._of(index)
        asked = groups.judged_after(most)
        if queries is not None:
            from_the_end = np.cumsum(groups.sizes[asked][::-1])
            asked = asked[-1 - int(np.searchsorted(from_the_end[:-1], queries)) :]
        learnt = np.flatnonzero(groups.learnt[: asked[0]])
        support = learnt[len(learnt) - shots :]
        judged = self._read(index, groups.all_rows(asked))
        return self._read(index, groups.all_rows(support)), judged if queries is None else judged[-queries:]

    def _of(self, index: int) -> Groups:
        return Groups(*self.split.groups_of(index))

    def _read(self, index: int, rows: Sequence[int]) -> list[Example]:
        examples = self.split.task(index).examples
        return [examples[row] for row in rows]


@dataclass(frozen=True)
class Groups:
    """A task's groups, in order of time."""

    starts: np.ndarray  # (groups + 1,) where each begins among the task's examples, and where the last ends
    marks: np.ndarray  # (groups,) 0 for none, 1 for support, 2 for query

    @cached_property
    def sizes(self) -> np.ndarray:
        return np.diff(self.starts)

    @cached_property
    def learnt(self) -> np.ndarray:
        """(groups,) whether it may be learnt from."""
        return self.marks != 2

    @cached_property
    def judged(self) -> np.ndarray:
        """(groups,) whether it may be judged on: those marked so or, where none is, the unmarked ones."""
        return self.marks == (2 if (self.marks == 2).any() else 0)

    def judged_after(self, most: int) -> np.ndarray:
        """The numbers of the groups that may be judged on and have `most` to learn from before them."""
        before = np.cumsum(self.learnt) - self.learnt
        return np.flatnonzero(self.judged & (before >= most))

    def counts(self, chosen: np.ndarray) -> np.ndarray:
        """(groups + 1,) examples of the chosen groups before each group, and in all."""
        return np.append(0, np.cumsum(self.sizes * chosen))

    def rows(self, counts: np.ndarray, places: Sequence[int]) -> list[int]:
        """The rows of examples numbered through the groups that were counted."""
        at = np.array(places, dtype=np.int64)
        group = np.searchsorted(counts, at, side="right") - 1
        return (self.starts[group] + at - counts[group]).tolist()

    def all_rows(self, numbers: Iterable[int]) -> list[int]:
        return [row for number in numbers for row in range(self.starts[number], self.starts[number + 1])]


def counted(groups: Groups) -> str:
    """How many dialogues there are, and how many of them are marked."""
    support, query = (int((groups.marks == mark).sum()) for mark in (1, 2))
    marks = f" ({support} marked support, {query} marked query)" if support or query else ""
    return f"{len(groups.marks)} dialogue{'' if len(groups.marks) == 1 else 's'}{marks}"
