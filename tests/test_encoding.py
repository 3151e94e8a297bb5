"""Episodes become batches whose rows stand in parts of like length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metanlp.batch import IGNORED, Batch
from metanlp.data.types import Prompt
from metanlp.encoding import cheapest_cuts, encode_in_parts, pass_costs_of

SIZES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=7)


@pytest.mark.parametrize(
    ("part_costs", "cuts"),
    [
        (0, [1, 2, 3]),  # 10 + 30 + 30 + 200
        (5, [1, 3]),  # 10 + 2 * 32 + 200 + 2 * 5; a third would save 4
        (25, [3]),  # 3 * 32 + 200 + 25; a second cut would save 22
        (505, []),  # 4 * 200; cut once it is 296 + 505
        (math.inf, []),
    ],
)
def test_a_cut_is_made_where_it_pays(part_costs: float, cuts: list[int]) -> None:
    assert cheapest_cuts([(5, 5), (10, 20), (12, 18), (100, 100)], part_costs) == cuts


@given(sizes=SIZES, part_costs=st.integers(0, 60))
def test_no_other_cuts_cost_less(sizes: list[tuple[int, int]], part_costs: int) -> None:
    def costs_of(cuts: Sequence[int]) -> int:
        edges = pairwise([0, *cuts, len(sizes)])
        return part_costs * len(cuts) + sum(
            (end - start) * (max(size[0] for size in sizes[start:end]) + max(size[1] for size in sizes[start:end]))
            for start, end in edges
        )

    every = [cuts for count in range(len(sizes)) for cuts in combinations(range(1, len(sizes)), count)]
    assert costs_of(cheapest_cuts(sizes, part_costs)) == min(map(costs_of, every))


class Recording:
    """Stands in for a backbone: remembers what was encoded together."""

    def __init__(self) -> None:
        self.asked: list[list[list[str]]] = []

    def encode(self, prompts: Sequence[Sequence[Prompt]], seed: int | None = None) -> Batch:
        self.asked.append([[prompt.input for prompt in task] for task in prompts])
        rows = sum(map(len, prompts))
        return Batch({}, torch.zeros(rows, 1), len(prompts), seed)


def test_every_task_has_the_same_rows_in_a_part_and_each_row_once() -> None:
    backbone = Recording()
    tasks = [["a" * 40, "b", "bb"], ["c", "d" * 50, "cc"]]
    batch = encode_in_parts(backbone, [[Prompt(text) for text in task] for task in tasks], 5, 10)
    assert backbone.asked == [[["b", "bb"], ["c", "cc"]], [["a" * 40], ["d" * 50]]]
    assert [part.labels.shape[0] for part in batch.parts] == [4, 2]
    seeds = [part.seed for part in batch.parts]
    assert seeds[0] == 5
    assert len(set(seeds)) == 2  # parts drop other activations
    whole = encode_in_parts(Recording(), [[Prompt(text) for text in task] for task in tasks], 5, math.inf)
    assert whole.examples == batch.examples == 6
    assert not whole.others


def test_a_short_task_is_filled_up_with_the_shortest_row_and_without_loss() -> None:
    backbone = Recording()
    tasks = [["a" * 40], ["c", "d" * 50, "cc"]]
    batch = encode_in_parts(backbone, [[Prompt(text) for text in task] for task in tasks], 5, 10)
    assert backbone.asked == [[["c", "c"], ["c", "cc"]], [["a" * 40], ["d" * 50]]]
    assert [(part.labels == IGNORED).flatten().tolist() for part in batch.parts] == [
        [True, True, False, False],
        [False, False],
    ]


def test_only_a_cpu_minds_padding() -> None:
    assert 0 < pass_costs_of(torch.device("cpu"), "fp32") < pass_costs_of(torch.device("cpu"), "bf16") < math.inf
    assert pass_costs_of(torch.device("cuda", 1), "bf16") == math.inf
