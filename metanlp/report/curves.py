"""What the logbooks of a run say about its training, stage after stage, ready to be drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from metanlp.logbook import read_logbook
from metanlp.run import Run

LINES = ("loss", "valid_loss", "valid_loss_adapted")  # what a logbook may hold of a stage
PARTS = 15  # a smoothed line averages over one of so many parts of it


@dataclass(frozen=True)
class Line:
    passes: list[int]
    values: list[float]


@dataclass(frozen=True)
class Curve:
    """One stage's losses against the passes since the backbone's own weights."""

    stage: str
    after: str | None
    began: int
    ended: int
    lines: dict[str, Line] = field(default_factory=dict)  # by names of LINES; those that were measured


def training_curves(run: Run) -> list[Curve]:
    """The stages that have a logbook, in the recipe's order."""
    curves: dict[str, Curve] = {}
    for name, stage in run.recipe.stages.items():
        book = read_logbook(run.at(name).place / "metrics.jsonl")
        if not book:
            continue
        began = curves[stage.after].ended if stage.after in curves else 0
        curve = Curve(name, stage.after, began, began + max(line["passes"] for line in book))
        for key in LINES:
            points = [(began + line["passes"], line[key]) for line in book if key in line]
            if points:
                curve.lines[key] = Line([passes for passes, _ in points], [value for _, value in points])
        curves[name] = curve
    return list(curves.values())


def smoothed(values: Sequence[float]) -> list[float]:
    """A running mean of finite values; at the ends, of as many as there are on either side."""
    half, means = max(1, len(values) // (2 * PARTS)), []
    for at in range(len(values)):
        reach = min(half, at, len(values) - 1 - at)
        near = [value for value in values[at - reach : at + reach + 1] if math.isfinite(value)]
        means.append(sum(near) / len(near) if near else math.nan)
    return means
