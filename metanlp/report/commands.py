"""The commands that repeat a run and its evaluation."""

from __future__ import annotations

import shlex
from typing import Any

from metanlp.config.yaml import to_yaml
from metanlp.others import EXAMPLES
from metanlp.results import OF_OTHERS, Results
from metanlp.run import RECIPE, Run


def repeating(results: Results, run: Run) -> list[str]:
    """Train anew from the run's own recipe, and measure what was measured here."""
    again = run.folder.with_name(f"{run.folder.name}-again")
    train = ["metanlp", "train", str(run.folder / RECIPE), "--out", str(again)]
    evaluate = ["metanlp", "evaluate", str(again), "--split", results.split, *_choices(results, run)]
    return [shlex.join(train), shlex.join(evaluate)]


def _choices(results: Results, run: Run) -> list[str]:
    """Options of `evaluate` that say what the recipe does not."""
    recipe = run.recipe.evaluation
    stages = results.stages()
    own = [stage for stage in stages if stage in run.recipe.stages]
    queries = max((len(each.sources) for each in results.predicted), default=recipe.queries)
    others = max((len(each.other_references) for each in results.predicted), default=0)
    chosen: list[str] = []
    for other in stages:
        if other not in own:
            chosen += ["--against", str(run.folder.parent / other)]
    if results.shots() != sorted(recipe.shots):
        chosen += ["--shots", ",".join(map(str, results.shots()))]
    seeds = sorted({row.seed for row in results.rows if row.task is not None and row.seed is not None})
    measured: dict[str, tuple[Any, Any]] = {
        "stages": (own, recipe.stages or [run.recipe.result]),
        "seeds": (seeds, sorted(recipe.seeds)),
        "metrics": ([metric for metric in results.metrics() if metric != OF_OTHERS], recipe.metrics),
        "others": (-(-others // EXAMPLES), recipe.others),
        "queries": (queries, recipe.queries),
    }
    for name, (here, there) in measured.items():
        if here != there:
            chosen += ["--set", f"{name}={_inline(here)}"]
    return chosen


def _inline(value: Any) -> str:
    return to_yaml([value], flow=True).strip()[1:-1]
