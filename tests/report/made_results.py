"""Results made by hand, of numbers that a reader can check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metanlp.config.recipe import Evaluation
from metanlp.results import Comparison, Predicted, Results, Row

PASSES = {"joint": 1200, "meta": 34000}
BASE = {("joint", 0): 20.0, ("joint", 4): 40.0, ("joint", 64): 60.0}
BASE |= {("meta", 0): 10.0, ("meta", 4): 50.0, ("meta", 64): 60.04}
SMALL = {"bb": 4, "cc": 0}  # aa can do 64 shots


def row(
    stage: str,
    task: str | None,
    shots: int,
    value: float,
    seed: int | None = 0,
    metric: str = "chrF",
    tasks: int = 1,
) -> Row:
    algorithm = {"joint": "joint", "meta": "fomaml"}.get(stage, "joint")
    passes = PASSES.get(stage, 7)
    signature = f"{metric}|version:0"
    low, high = (None, None) if task is None and tasks < 2 else (value - 2, value + 1.5)
    return Row("toy", stage, algorithm, task, shots, seed, metric, value, low, high, passes, signature, tasks)


def make_results(
    stages: Sequence[str] = ("joint", "meta"),
    shots: Sequence[int] = (0, 4, 64),
    tasks: Sequence[str] = ("aa", "bb"),
    seeds: Sequence[int] = (0,),
    metrics: Sequence[str] = ("chrF",),
    outputs: dict[str, list[str]] | None = None,
    base: dict[tuple[str, int], float] = BASE,
    most: dict[str, int] | None = None,
) -> Results:
    """Task number i is i better than the base, seed number j 2 j better. `most` are the shots that a task can do."""
    most = most or {}
    outputs = outputs or {"joint": ["ein mal", "zwei"], "meta": ["ein mal", "drei"]}
    rows, predicted = [], []
    for metric in metrics:
        for stage in stages:
            for count in shots:
                start = base.get((stage, count), 30.0)
                able = [task for task in tasks if count <= most.get(task, count)]
                rows.append(row(stage, None, count, start, None if len(seeds) > 1 else 0, metric, len(able)))
                for i, task in enumerate(able):
                    rows += [row(stage, task, count, start + i + 2 * j, seed, metric) for j, seed in enumerate(seeds)]
    for stage in stages:
        for count in shots:
            for task in tasks:
                for seed in seeds if count <= most.get(task, count) else ():
                    texts = outputs.get(stage, ["ein mal", "zwei"])
                    said = [f"{task} {text}" if count == max(shots) and seed == seeds[0] else "-" for text in texts]
                    references = [f"{task} ein mal", f"{task} drei"]
                    predicted.append(
                        Predicted(stage, "fomaml", task, count, seed, 7, 5, 0.5, ["1", "3"], references, said)
                    )  # fmt: skip
    compared = []
    for metric in metrics:
        for stage in stages[1:]:
            for count in shots:
                gain = base.get((stage, count), 30.0) - base.get((stages[0], count), 30.0)
                compared.append(Comparison(stage, stages[0], count, metric, gain, -0.3, 2.6, 0.12, len(tasks)))
    facts: dict[str, Any] = {"metanlp": "0.1.0", "commit": "abc123"}
    return Results(
        "toy", "d1ge57", "test", rows, compared if len(tasks) > 1 else [], predicted, facts, Evaluation().dump()
    )
