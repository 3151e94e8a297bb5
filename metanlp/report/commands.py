"""The commands that repeat a run and its evaluation."""

from __future__ import annotations

import shlex
from typing import Any

from metanlp.config.yaml import to_yaml
from metanlp.results import PROMPTED, Results
from metanlp.run import RECIPE, Run


def repeating(results: Results, run: Run) -> list[str]:
    """Train anew from the run's own recipe, and measure what was measured here."""
    again = run.folder.with_name(f"{run.folder.name}-again")
    train = ["metanlp", "train", str(run.folder / RECIPE), "--out", str(again)]
    evaluate = ["metanlp", "evaluate", str(again), "--split", results.split, *_choices(results, run)]
    return [shlex.join(train), shlex.join(evaluate)]


def _choices(results: Results, run: Run) -> list[str]:
    """Options of `evaluate` that say what the recipe does not."""
    chosen: list[str] = []
    for stage in results.stages():
        if stage not in run.recipe.stages and not stage.startswith(PROMPTED):
            chosen += ["--against", str(run.folder.parent / stage)]
    recipe = run.recipe.evaluation.dump()
    for name, asked in results.asked.items():
        if asked != recipe[name]:
            chosen += (
                ["--set", f"{name}={_inline(asked)}"] if name != "shots" else ["--shots", ",".join(map(str, asked))]
            )
    return chosen


def _inline(value: Any) -> str:
    return to_yaml([value], flow=True).strip()[1:-1]
