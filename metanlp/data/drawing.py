"""Which examples of a task an episode gets, where they have nothing to do with each other: any of them, by the marks."""

from __future__ import annotations

import numpy as np

from metanlp.data.seeds import Draws, Shuffle
from metanlp.data.split import TaskSplit
from metanlp.data.types import Example

Purpose = tuple[int | str, ...]  # what a draw is for: every draw is a function of it
Drawn = tuple[list[Example], list[Example]]  # support and query


class OneByOne:
    """Draws single examples."""

    few = 16  # shots of a quick look while training
    needs = "no example to learn from and another to be judged on; add examples or remove tasks"

    def __init__(self, split: TaskSplit) -> None:
        self.split = split

    def too_small(self, support: int) -> np.ndarray:
        """(tasks,) whether a task has too few examples to train on."""
        unmarked, learnt, marked = self.split.pools.T
        judged = np.where(marked > 0, marked, unmarked)
        learnt = np.where(marked > 0, unmarked + learnt, unmarked + learnt - 1)
        return (judged <= 0) | ((learnt <= 0) & (support > 0))

    def shortage(self, index: int, most: int) -> str:
        """What a task lacks for `most` shots and a query, as a sentence; "" where nothing."""
        unmarked, support, marked = self.split.pools[index].tolist()
        if unmarked + support >= most and self._available(index, most) > 0:
            return ""
        marks = f" ({support} marked support, {marked} marked query)" if support or marked else ""
        return (
            f"task {self.split.names[index]!r} has {unmarked + support + marked} examples{marks}, "
            f"too few for {most} shots and a query; ask for fewer shots or add examples"
        )

    def for_training(self, index: int, support: int, query: int, purpose: Purpose) -> Drawn:
        """So many different examples; of a small task fewer, in proportion, at least one of each."""
        unmarked, marked_support, marked_query = self.split.pools[index].tolist()
        learnt = unmarked + marked_support
        if marked_query:
            return self._draw(index, min(support, learnt), min(query, marked_query), purpose)
        if learnt >= support + query:
            queries = min(query, unmarked)
        else:
            queries = min(query, unmarked, max(1, learnt - max(1, round(learnt * support / (support + query)))))
        return self._draw(index, min(support, learnt - queries), queries, purpose)

    def for_evaluation(self, index: int, shots: int, most: int, queries: int | None, purpose: Purpose) -> Drawn:
        available = self._available(index, most)
        return self._draw(index, shots, available if queries is None else min(queries, available), purpose)

    def _available(self, index: int, most: int) -> int:
        """How many queries there are beside `most` shots."""
        unmarked, support, marked = self.split.pools[index].tolist()
        return marked or min(unmarked, unmarked + support - most)

    def _draw(self, index: int, support: int, query: int, purpose: Purpose) -> Drawn:
        """The queries come first: they do not depend on how much support is drawn."""
        unmarked, marked_support, marked_query = self.split.pools[index].tolist()
        shuffle = Shuffle(Draws(*purpose))
        if marked_query:
            first = unmarked + marked_support
            queries = [first + place for place in Shuffle(Draws(*purpose, "query")).take(query, marked_query)]
        else:
            queries = shuffle.take(query, unmarked)
        supports = shuffle.take(support, unmarked + marked_support)
        read = self.split.example_by_pool
        return [read(index, place) for place in supports], [read(index, place) for place in queries]
