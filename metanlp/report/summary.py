"""One metric's results as a table: a line a start and an adapted stage, a column a number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metanlp.errors import UserError, did_you_mean
from metanlp.metrics import LOWER_IS_BETTER
from metanlp.results import Comparison, Results, Row


@dataclass(frozen=True)
class Line:
    """The rows over all tasks that stand beside one label; None where nothing was measured."""

    label: str
    stage: str
    cells: list[Row | None]


@dataclass(frozen=True)
class Versus:
    """A stage held against the baseline, at every number of shots of the table, and without adapting."""

    label: str
    stage: str
    cells: list[Comparison | None]
    unadapted: Comparison | None


@dataclass(frozen=True)
class Training:
    """What a stage's weights have cost: passes of its own and of the stages before it."""

    stage: str
    algorithm: str
    passes: int


@dataclass(frozen=True)
class Summary:
    metric: str
    lower_is_better: bool
    signature: str
    collection: str
    split: str
    shots: list[int]  # the columns; [0] where nothing else was measured
    lines: list[Line]
    versus: list[Versus]
    training: list[Training]
    tasks: list[str]
    seeds: list[int]
    queries: tuple[int, int]  # of a task: the fewest, the most; (0, 0) where predictions are not at hand

    @property
    def title(self) -> str:
        over = f"mean over {counted(len(self.tasks), f'{self.split} task')} of {self.collection}"
        return f"{self.metric}, {over}" + (" [95% interval]" if self.has_intervals else "")

    @property
    def has_intervals(self) -> bool:
        """One task tells nothing of others."""
        return len(self.tasks) > 1

    @property
    def episodes(self) -> str:
        """On what the numbers rest."""
        fewest, most = self.queries
        queries = f"{fewest} to {most}" if fewest != most else str(most)
        each = [f"{queries} queries each"] if most else []
        seeds = f"{'seed' if len(self.seeds) == 1 else 'seeds'} {', '.join(map(str, self.seeds))}"
        interval = "interval: tasks resampled" if self.has_intervals else "no interval from one task"
        return "; ".join([", ".join([counted(len(self.tasks), "task"), *each]), seeds, interval])

    @property
    def compute(self) -> str:
        return ", ".join(f"{each.stage} ({each.algorithm}) {each.passes:,}" for each in self.training)

    @property
    def direction(self) -> str:
        return f"{'lower' if self.lower_is_better else 'higher'} is better"


def summarise(results: Results, metric: str) -> Summary:
    """The table of `metric`; UserError where it was not measured."""
    rows = [row for row in results.rows if row.metric == metric]
    if not rows:
        known = results.metrics()
        near = did_you_mean(metric, known)
        raise UserError(f"metric {metric!r} was not measured{near}; there are {', '.join(known)}")
    overall = {(row.stage, row.shots): row for row in rows if row.task is None}
    stages = list(dict.fromkeys(row.stage for row in rows))
    columns = sorted({row.shots for row in rows} - {0}) or [0]
    counts = [len(each.sources) for each in results.predicted]
    return Summary(
        metric=metric,
        lower_is_better=metric in LOWER_IS_BETTER,
        signature=rows[0].signature,
        collection=results.collection,
        split=results.split,
        shots=columns,
        lines=[*_zero_shot(overall, stages, len(columns)), *_adapted(overall, stages, columns)],
        versus=_versus([each for each in results.comparisons if each.metric == metric], columns),
        training=list({row.stage: Training(row.stage, row.algorithm, row.passes) for row in rows}.values()),
        tasks=sorted({row.task for row in rows if row.task is not None}),
        seeds=sorted({row.seed for row in rows if row.task is not None and row.seed is not None}),
        queries=(min(counts), max(counts)) if counts else (0, 0),
    )


Overall = dict[tuple[str, int], Row]


def _zero_shot(overall: Overall, stages: Sequence[str], columns: int) -> list[Line]:
    """The starts as they are. They do not see the examples: their one number holds in every column."""
    starts = {stage: overall[stage, 0] for stage in stages if (stage, 0) in overall}
    if len(starts) > 1 and len({(row.value, row.low, row.high) for row in starts.values()}) == 1:
        stage, row = next(iter(starts.items()))
        return [Line("zero-shot", stage, [row] * columns)]
    return [Line(f"zero-shot {stage}", stage, [row] * columns) for stage, row in starts.items()]


def _adapted(overall: Overall, stages: Sequence[str], shots: Sequence[int]) -> list[Line]:
    found = [(stage, [overall.get((stage, count)) for count in shots if count]) for stage in stages]
    return [Line(f"adapted {stage}", stage, cells) for stage, cells in found if any(cells)]


def _versus(comparisons: Sequence[Comparison], shots: Sequence[int]) -> list[Versus]:
    found = {(each.stage, each.baseline, each.shots): each for each in comparisons}
    pairs = dict.fromkeys((each.stage, each.baseline) for each in comparisons)
    return [
        Versus(
            f"{stage} - {baseline}",
            stage,
            [found.get((stage, baseline, count)) for count in shots],
            found.get((stage, baseline, 0)) if 0 not in shots else None,
        )
        for stage, baseline in pairs
    ]


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def task_means(results: Results, metric: str) -> dict[tuple[str, str, int], float]:
    """(task, stage, shots) -> the mean over seeds."""
    values: dict[tuple[str, str, int], list[float]] = {}
    for row in results.rows:
        if row.metric == metric and row.task is not None:
            values.setdefault((row.task, row.stage, row.shots), []).append(row.value)
    return {key: sum(found) / len(found) for key, found in values.items()}


def signed(number: float) -> str:
    """+1.2, -0.3, and 0.0 without a sign."""
    text = f"{number:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def probability(p: float) -> str:
    """p < .001, p = .012, p = .12: no more digits than say something."""
    if p < 0.001:
        return "p < .001"
    return f"p = {p:.3f}".replace("0.", ".", 1) if p < 0.1 else f"p = {p:.2f}".replace("0.", ".", 1)
