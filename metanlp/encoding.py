"""Episodes -> batches: where a task family's prompts meet a backbone's tokenizer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from metanlp.batch import IGNORED, Batch, EncodedEpisodes
from metanlp.config.languages import Additions
from metanlp.config.recipe import Adapting
from metanlp.data.seeds import Draws, Shuffle, seed_of
from metanlp.data.types import Episode, Example, Prompt

PASS_COSTS = {"fp32": 300.0, "bf16": 1000.0}  # characters of padding that take a CPU as long as a pass more
Row = TypeVar("Row")


class TaskFamily(Protocol):
    """What `tasks/*.py` provide."""

    def additions(self) -> Additions: ...
    def prompt_of(self, task: str, info: Mapping[str, Any], example: Example) -> Prompt: ...
    def prompt_shown(
        self, task: str, info: Mapping[str, Any], example: Example, shown: Sequence[Example]
    ) -> Prompt: ...


class Backbone(Protocol):
    """What `backbones/*.py` build."""

    model: Any
    tokenizer: Any
    new_rows: Sequence[int]

    def encode(self, prompts: Sequence[Sequence[Prompt]], seed: int | None = None) -> Batch: ...
    def generate(
        self, prompts: Sequence[Sequence[Prompt]], *, beams: int = 1, max_new_tokens: int = 128
    ) -> list[list[str]]: ...
    def cut(self, prompts: Sequence[Prompt], side: str = "source", *, max_new_tokens: int = 0) -> list[bool]: ...
    def reading_of(self, prompt: Prompt) -> str: ...
    def save(self, folder: Any) -> None: ...


def prompts_of(family: TaskFamily, episode: Episode, examples: Sequence[Example]) -> list[Prompt]:
    return [family.prompt_of(episode.task, episode.info, example) for example in examples]


def encode_episodes(
    family: TaskFamily,
    backbone: Backbone,
    episodes: Sequence[Episode],
    inner_steps: int,
    seed: int,
    pass_costs: float,
) -> EncodedEpisodes:
    """A stack of episodes of equal shape. The support is dealt out over `inner_steps` batches of fresh examples.

    Batches come in parts as in `encode_in_parts`.
    """
    key = episodes[0].index  # a stack is the same stack in any number of processes
    rows = len(episodes[0].support) // inner_steps
    support = [
        encode_in_parts(
            backbone,
            [prompts_of(family, episode, episode.support[step * rows : (step + 1) * rows]) for episode in episodes],
            seed_of(seed, "dropout", key, step),
            pass_costs,
        )
        for step in range(inner_steps if rows else 0)
    ]
    query = [prompts_of(family, episode, episode.query) for episode in episodes]
    last = encode_in_parts(backbone, query, seed_of(seed, "dropout", key, "query"), pass_costs)
    return EncodedEpisodes(support, last)


def pass_costs_of(device: torch.device, precision: str) -> float:
    """How many characters of padding take as long as a pass more; other devices than a CPU mind padding little."""
    return PASS_COSTS[precision] if device.type == "cpu" else math.inf


def work_enough(prompts: Sequence[Sequence[Prompt]], batch: int, pass_costs: float) -> bool:
    """Whether a batch of one task is on average longer than what a pass costs, so that a stack of tasks would save little."""
    lengths = [min(len(task), batch) * sum(map(_length, task)) / len(task) for task in prompts]
    return sum(lengths) / len(lengths) > pass_costs


def encode_in_parts(backbone: Backbone, prompts: Sequence[Sequence[Prompt]], seed: int, pass_costs: float) -> Batch:
    """A batch of tasks, each with any number of rows, in parts of like length, so that little of it is padding.

    The loss is that of the whole. Rows are put in order; shorter tasks are filled up with repeats that carry no loss. A part
    more pays where it saves more characters of padding than `pass_costs`; where that is infinite, there is one part.
    """
    if math.isinf(pass_costs):
        return encode_unequal(backbone, prompts, seed)
    most = max(map(len, prompts))
    ordered = [sorted(task, key=_length) for task in prompts]
    shortest = min((task[0] for task in ordered), key=_length)
    level = [[*[shortest] * (most - len(task)), *task] for task in ordered]
    repeats = torch.arange(most) < torch.tensor([[most - len(task)] for task in prompts])  # (tasks, rows)
    sizes = [
        (max(len(prompt.input) for prompt in rank), max(len(prompt.output) for prompt in rank))
        for rank in zip(*level, strict=True)
    ]  # (rows, 2), over the tasks
    cuts = [0, *cheapest_cuts(sizes, pass_costs / len(prompts)), most]
    first, *others = [
        _without(repeats[:, start:end], backbone.encode([task[start:end] for task in level]))
        for start, end in pairwise(cuts)
    ]
    return seeded(replace(first, others=tuple(others)), seed)


def _length(prompt: Prompt) -> int:
    return len(prompt.input) + len(prompt.output)


def seeded(batch: Batch, seed: int) -> Batch:
    """The batch with the dropout of this seed; each part drops other activations."""
    starts = accumulate(part.labels.shape[0] // batch.tasks for part in batch.parts[:-1])
    others = [
        replace(part, seed=seed_of(seed, "part", start)) for part, start in zip(batch.others, starts, strict=True)
    ]
    return replace(batch, seed=seed, others=tuple(others))


def cheapest_cuts(sizes: Sequence[tuple[int, int]], part_costs: float) -> list[int]:
    """Where to cut rows that have been put in order, so that the parts cost least: each `part_costs`, and for each of its
    rows the longest of either side."""
    best: list[tuple[float, list[int]]] = [(0.0, [])]  # of the first rows, as many as stand before it
    for end in range(1, len(sizes) + 1):
        ways = []
        longest = (0, 0)
        for start in reversed(range(end)):
            longest = max(longest[0], sizes[start][0]), max(longest[1], sizes[start][1])
            costs, cuts = best[start]
            if start:
                costs, cuts = costs + part_costs, [*cuts, start]
            ways.append((costs + (end - start) * sum(longest), cuts))
        best.append(min(ways))
    return best[-1][1]


def filled(rows: Sequence[Row], count: int) -> list[Row]:
    """`count` rows: those, and repeats of the last; of no rows, none."""
    return [*rows, *list(rows[-1:]) * (count - len(rows))]


def encode_unequal(backbone: Backbone, prompts: Sequence[Sequence[Prompt]], seed: int | None = None) -> Batch:
    """A batch of tasks with any numbers of rows: the shorter ones are filled up with repeats that carry no loss."""
    counts = torch.tensor([len(task) for task in prompts])
    longest = int(counts.max())
    batch = backbone.encode([filled(task, longest) for task in prompts], seed)
    return _without(torch.arange(longest) >= counts[:, None], batch)


def _without(repeats: Tensor, batch: Batch) -> Batch:
    """`repeats`, `(tasks, rows)`, carry no loss."""
    if not bool(repeats.any()):
        return batch
    return replace(batch, labels=batch.labels.masked_fill(repeats.reshape(-1, 1), IGNORED))


def adapting_batches(
    backbone: Backbone,
    prompts: Sequence[Sequence[Prompt]],
    adapting: Adapting,
    steps: int,
    seed: int,
    pass_costs: float,
) -> list[Batch]:
    """A batch for each of `steps` steps over the prompts of some tasks. Every task learns from its own as it would alone.

    All of a task's examples at once where they fit in a batch; otherwise a fresh order for every pass through them. Batches
    come in parts as in `encode_in_parts`.
    """
    seeds = [seed_of(seed, "dropout", step) for step in range(steps)]
    if max(len(task) for task in prompts) <= adapting.batch:
        batch = encode_in_parts(backbone, prompts, seed, pass_costs)
        return [seeded(batch, own) for own in seeds]
    orders = {count: _order(count, adapting.batch, steps, seed) for count in {len(task) for task in prompts}}
    return [
        encode_in_parts(
            backbone, [[task[at] for at in orders[len(task)][step]] for task in prompts], seeds[step], pass_costs
        )
        for step in range(steps)
    ]


def _order(count: int, batch: int, steps: int, seed: int) -> list[list[int]]:
    """Which of `count` examples each step takes."""
    if count <= batch:
        return [list(range(count))] * steps
    passes = -(-steps * batch // count)
    order = [at for index in range(passes) for at in Shuffle(Draws(seed, "order", index)).take(count, count)]
    return [order[step * batch : (step + 1) * batch] for step in range(steps)]
