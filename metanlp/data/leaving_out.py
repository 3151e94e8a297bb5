"""Leave one out: each of a task's groups in turn is judged on, and others of the task are learnt from (PAML's protocol,
Madotto et al., 2019).

What is learnt from may have been said after what is judged on; a task of two dialogues has two episodes all the same.
"""

from __future__ import annotations

import numpy as np

from metanlp.data.drawing import Drawn, Purpose
from metanlp.data.drawing_groups import Groups, counted
from metanlp.data.seeds import Draws, Shuffle, seed_of
from metanlp.data.split import TaskSplit
from metanlp.data.types import Episode
from metanlp.errors import UserError


class LeavingOneOut:
    """Draws whole groups. UserError for a split whose examples belong to none."""

    def __init__(self, split: TaskSplit) -> None:
        if not split.grouped:
            raise UserError(
                f"evaluation.protocol leave_one_out leaves out dialogues, and the examples of the split {split.split} belong "
                "to none; use protocol later"
            )
        self.split = split

    def shortage(self, index: int, most: int) -> str:
        """What a task lacks for a group to be judged on and, with any shots, another to learn from; "" where nothing."""
        groups = Groups(*self.split.groups_of(index))
        others = groups.learnt.sum() - groups.learnt[groups.judged]
        if len(others) and others.min() >= min(most, 1):
            return ""
        return (
            f"task {self.split.names[index]!r} has {counted(groups)}, too few to leave one out and learn from another; "
            "add dialogues"
        )

    def episodes(
        self, index: int, shots: int, queries: int | None, folds: int | None, purpose: Purpose
    ) -> list[Episode]:
        """An episode for each group that may be judged on, in order of time, or for `folds` of them."""
        name = self.split.names[index]
        groups = Groups(*self.split.groups_of(index))
        judged = np.flatnonzero(groups.judged).tolist()
        chosen = Shuffle(Draws(*purpose, "folds")).take(min(folds or len(judged), len(judged)), len(judged))
        episodes = []
        for group in (judged[place] for place in sorted(chosen)):
            fold = (*purpose, "without", group)
            support, query = self._without(index, groups, group, shots, queries, fold)
            episodes.append(Episode(name, self.split.info(name), support, query, seed_of(*fold)))
        return episodes

    def _without(
        self, index: int, groups: Groups, left_out: int, shots: int, queries: int | None, purpose: Purpose
    ) -> Drawn:
        """`shots` others, in order of time, and the last examples of the group that is left out."""
        others = [group for group in np.flatnonzero(groups.learnt).tolist() if group != left_out]
        chosen = sorted(Shuffle(Draws(*purpose)).take(min(shots, len(others)), len(others)))
        examples = self.split.task(index).examples
        support = [examples[row] for row in groups.all_rows([others[place] for place in chosen])]
        query = [examples[row] for row in groups.all_rows([left_out])]
        return support, query if queries is None else query[-queries:]
