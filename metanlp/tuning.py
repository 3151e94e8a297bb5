"""How each stage of a run should adapt: the same candidates for all of them, judged on validation tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from statistics import fmean

from metanlp.config.recipe import Adapting, Evaluation
from metanlp.data.sampler import columns_of, some_of
from metanlp.errors import UserError
from metanlp.jobs import jobs_of, predict
from metanlp.metrics import LOWER_IS_BETTER
from metanlp.progress import progress
from metanlp.results import score_of
from metanlp.run import Run
from metanlp.tuned import Candidate, Choice, keep_choices

RATES, STEPS = (0.1, 0.3, 1.0, 3.0), (0.1, 0.3, 1.0)  # of what the recipe says


def tune(
    run: Run,
    *,
    split: str = "valid",
    options: Evaluation | None = None,
    rates: Sequence[float] = (),
    steps: Sequence[int] = (),
    workers: int = 1,
    show: bool = False,
) -> dict[str, list[Choice]]:
    """The best learning rate and number of steps for each of `options.stages` at each number of shots.

    Every stage gets the same `rates` and `steps` to choose from (by default parts of what the recipe's `adapting` says), on
    the same episodes; the first of `options.metrics` decides, of equals the fewer steps. What was chosen is kept with the
    stage: `evaluate` and `adapt` go by it. UserError for a split that training or the final evaluation is on.
    """
    if split in ("train", "test"):
        raise UserError(f"tuning on {split} would tell nothing of new tasks; use a split of its own, as valid")
    options = options or run.recipe.evaluation
    shots = [count for count in sorted(set(options.shots)) if count]
    if not shots:
        raise UserError("there is nothing to tune at 0 shots; ask for --shots 16, or several numbers")
    stages = {stage: run.at(stage) for stage in options.stages or [run.stage]}
    for each in stages.values():
        if not each.finished():
            raise each.unfinished
    columns = columns_of(some_of(run.prepare().split(split), options.tasks), shots, options.protocol)
    metric = options.metrics[0]
    alone = {"shots": shots, "seeds": options.seeds[:1], "metrics": [metric], "others": 0, "prompting": [], "nli": ""}
    options = options.model_copy(update=alone)
    jobs = [
        job
        for stage, each in stages.items()
        for count, names in [(0, sorted(set().union(*columns.values()))), *columns.items()]
        for adapting in (_candidates(each, rates, steps) if count else [run.recipe.adapting_of(stage)])
        for job in jobs_of(each, _label(stage, adapting), names, count, options.seeds[0], adapting, options)
    ]
    with progress(f"tuning on {split}", len(jobs), show=show) as advance:
        predicted = list(predict(jobs, split, options, workers, advance))
    found = {(each.stage, each.shots, each.task): score_of(each, metric).value for each in predicted}
    chosen = {}
    for stage, each in stages.items():
        zero = _label(stage, run.recipe.adapting_of(stage))
        chosen[stage] = [
            _choice(
                count,
                fmean(found[zero, 0, task] for task in names),
                [
                    Candidate(
                        one.learning_rate, one.steps, fmean(found[_label(stage, one), count, task] for task in names)
                    )
                    for one in _candidates(each, rates, steps)
                ],
                metric,
            )
            for count, names in columns.items()
        ]
        keep_choices(each, chosen[stage], metric, split)
    return chosen


def _candidates(run: Run, rates: Sequence[float], steps: Sequence[int]) -> list[Adapting]:
    """Every pair of a learning rate and a number of steps."""
    recipe = run.recipe.adapting_of(run.stage)
    rates = sorted(set(rates)) or [float(f"{part * recipe.learning_rate:.2g}") for part in RATES]
    steps = sorted(set(steps)) or sorted({max(1, round(part * recipe.steps)) for part in STEPS})
    return [recipe.model_copy(update={"learning_rate": rate, "steps": count}) for rate, count in product(rates, steps)]


def _label(stage: str, adapting: Adapting) -> str:
    return f"{stage}, {adapting.learning_rate:g} x {adapting.steps}"


def _choice(shots: int, before: float, tried: list[Candidate], metric: str) -> Choice:
    sign = -1 if metric in LOWER_IS_BETTER else 1
    best = max(tried, key=lambda candidate: (sign * candidate.value, -candidate.steps))
    return Choice(shots, before, best, tried)


def choices_table(chosen: Mapping[str, Sequence[Choice]], metric: str) -> str:
    """What was chosen, for people; a choice at the edge of what was tried is told."""
    lines = [f"{'stage':12} {'shots':>6} {'learning rate':>14} {'steps':>6} {metric:>12} {'before':>8}"]
    notes = []
    for stage, choices in chosen.items():
        for choice in choices:
            best = choice.best
            lines.append(
                f"{stage:12} {choice.shots:6} {best.learning_rate:14g} {best.steps:6} {best.value:12.1f} {choice.before:8.1f}"
            )
            notes += [f"{stage}, {choice.shots} shots: {note}" for note in _edges(choice)]
    return "\n".join([*lines, *notes])


def _edges(choice: Choice) -> Iterator[str]:
    """Where something beyond what was tried may be better still."""
    for name, flag, best, tried, least in (
        ("learning rate", "--rates", choice.best.learning_rate, {each.learning_rate for each in choice.tried}, 0),
        ("number of steps", "--steps", choice.best.steps, {each.steps for each in choice.tried}, 1),
    ):
        if len(tried) > 1 and best in (min(tried), max(tried)) and best > least:
            edge = "smallest" if best == min(tried) else "largest"
            yield f"the {edge} {name} was the best; try others with {flag}"
