"""How likely a model finds the real targets: perplexity, and whose adaptation finds them the likeliest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metanlp.data.types import Prompt
from metanlp.encoding import filled
from metanlp.metrics import PERPLEXITY, WHO_IS_IT, Score
from metanlp.run import Parts
from metanlp.weights import Weights


@dataclass(frozen=True)
class Loss:
    """Of one or more targets: the sum of their pieces' negative log likelihoods, and how many pieces that are."""

    nats: float
    pieces: int

    @property
    def mean(self) -> float:
        return self.nats / max(1, self.pieces)


def target_losses(
    parts: Parts, prompts: Sequence[Sequence[Prompt]], weights: Weights, rows_at_once: int
) -> list[list[Loss]]:
    """Of every prompt of every task the loss of its target, with that task's `weights` `(tasks, *shape)`.

    Rows of all tasks go together, those of like length in one pass.
    """
    orders = [sorted(range(len(task)), key=lambda at: _length(task[at])) for task in prompts]
    rows, longest = max(1, rows_at_once // len(prompts)), max(len(task) for task in prompts)
    level = [filled(order, longest) for order in orders]
    found: list[dict[int, Loss]] = [{} for _ in prompts]
    for start in range(0, longest, rows):
        places = [order[start : start + rows] for order in level]
        chunk = [[task[at] for at in own] for task, own in zip(prompts, places, strict=True)]
        batch = parts.backbone.encode(chunk).to(parts.learner.device)
        nats, pieces = (each.view(len(prompts), -1).tolist() for each in parts.learner.row_losses(weights, batch))
        for own, losses, sums, counts in zip(places, found, nats, pieces, strict=True):
            losses |= {at: Loss(*each) for at, *each in zip(own, sums, counts, strict=True)}
    return [[losses[at] for at in range(len(task))] for task, losses in zip(prompts, found, strict=True)]


def total(losses: Sequence[Loss]) -> Loss:
    return Loss(sum(each.nats for each in losses), sum(each.pieces for each in losses))


def perplexity(losses: Sequence[Loss], pieces: int) -> Score:
    """e to the mean loss of a piece, the one that ends a target included. Comparable among models of the same `pieces`."""
    return Score(
        PERPLEXITY, math.exp(total(losses).mean), f"{PERPLEXITY}|per:piece, end included|pieces:{pieces}|version:1"
    )


def who_is_it(own: str, losses: dict[str, Loss], among: int) -> Score:
    """100 where, of all the tasks' adaptations, the `own` one gives the own targets the lowest `losses`; otherwise 0.

    Without adaptations, which is no `losses`, it is what chance makes of it on average.
    """
    value = 100 / among if not losses else 100.0 * (min(losses, key=lambda name: losses[name].mean) == own)
    return Score(WHO_IS_IT, value, f"{WHO_IS_IT}|among:{among}|by:loss of a piece|version:1")


def _length(prompt: Prompt) -> int:
    return len(prompt.input) + len(prompt.output) + sum(map(len, prompt.turns))
