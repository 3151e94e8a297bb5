"""One metric's results as a table: a line a start and an adapted stage, a column a number of shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metanlp.errors import UserError, did_you_mean
from metanlp.metrics import CONSISTENCY, LOWER_IS_BETTER
from metanlp.results import PROMPTED, Comparison, Results, Row


@dataclass(frozen=True)
class Line:
    """The rows over all tasks that stand beside one label; None where nothing was measured."""

    label: str
    stage: str
    cells: list[Row | None]

    @property
    def is_start(self) -> bool:
        """Whether it has seen no examples, so that its numbers say the same again in each column."""
        return self.label.startswith("zero-shot") and not self.stage.startswith(PROMPTED)


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
    columns: list[list[str]]  # the tasks of each
    lines: list[Line]
    common: list[Line]  # over the tasks in all columns; none where the columns are of the same tasks
    versus: list[Versus]
    training: list[Training]
    tasks: list[str]
    seeds: list[int]
    queries: tuple[int, int]  # of a task: the fewest, the most; (0, 0) where predictions are not at hand
    left_out: str  # which dialogues are, in turn; "" where none are

    @property
    def title(self) -> str:
        tasks = f"{self.split} tasks" if self.common else counted(len(self.columns[0]), f"{self.split} task")
        over = f"mean over {tasks} of {self.collection}"
        return f"{self.metric}, {over}" + (" [95% interval]" if self.has_intervals else "")

    @property
    def has_intervals(self) -> bool:
        """One task tells nothing of others."""
        return len(self.columns[0]) > 1

    @property
    def episodes(self) -> str:
        """On what the numbers rest."""
        fewest, most = self.queries
        queries = f"{fewest} to {most}" if fewest != most else str(most)
        each = [f"{queries} queries each"] if most else []
        seeds = f"{'seed' if len(self.seeds) == 1 else 'seeds'} {', '.join(map(str, self.seeds))}"
        interval = "interval: tasks resampled" if self.has_intervals else "no interval from one task"
        smallest, largest = len(self.columns[-1]), counted(len(self.columns[0]), "task")
        tasks = f"{smallest:,} to {largest}" if self.common else largest
        left_out = [self.left_out] if self.left_out else []
        return "; ".join([", ".join([tasks, *each]), *left_out, seeds, interval])

    @property
    def warning(self) -> str:
        """What not to read into columns of different tasks."""
        return (
            "A task with too few examples for a column is left out of it: columns are means over different tasks, so compare "
            f"them by the lines of {of_all_columns(len(self.columns[-1]))} alone"
        )

    @property
    def compute(self) -> str:
        trained = [each for each in self.training if not each.stage.startswith(PROMPTED)]
        said = ", ".join(f"{each.stage} ({each.algorithm}) {each.passes:,}" for each in trained)
        return said + ("; prompted 0, the backbone's own weights" if len(trained) < len(self.training) else "")

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
    stages = list(dict.fromkeys(row.stage for row in rows))
    shots = sorted({row.shots for row in rows} - {0}) or [0]
    columns = [results.tasks(metric, count) for count in shots]
    counts = [len(each.sources) for each in results.predicted]
    return Summary(
        metric=metric,
        lower_is_better=metric in LOWER_IS_BETTER,
        signature=rows[0].signature,
        collection=results.collection,
        split=results.split,
        shots=shots,
        columns=columns,
        lines=_lines(results, metric, stages, shots, columns),
        common=_lines(results, metric, stages, shots, [columns[-1]] * len(shots)) if columns[0] != columns[-1] else [],
        versus=_versus([each for each in results.comparisons if each.metric == metric], shots),
        training=list({row.stage: Training(row.stage, row.algorithm, row.passes) for row in rows}.values()),
        tasks=results.tasks(metric),
        seeds=sorted({row.seed for row in rows if row.task is not None and row.seed is not None}),
        queries=(min(counts), max(counts)) if counts else (0, 0),
        left_out=_left_out(results.asked),
    )


def _left_out(asked: Mapping[str, Any]) -> str:
    if asked.get("protocol") != "leave_one_out":
        return ""
    which = f"up to {counted(asked['folds'], 'dialogue')}" if asked["folds"] else "every dialogue"
    return f"{which} of a task left out in turn"


def _lines(
    results: Results, metric: str, stages: Sequence[str], shots: Sequence[int], columns: Sequence[Sequence[str]]
) -> list[Line]:
    """The starts as they are, which do not see the examples and are the same in every column of the same tasks, and what
    the stages have made of the examples."""

    def cells(stage: str, numbers: Sequence[int]) -> list[Row | None]:
        return [overall(results, stage, count, metric, tasks) for count, tasks in zip(numbers, columns, strict=True)]

    def line(label: str, stage: str, found: list[Row | None]) -> Line:
        fewer = [row.tasks for row, tasks in zip(found, columns, strict=True) if row and row.tasks < len(tasks)]
        return Line(f"{label} ({counted(fewer[-1], 'task')})" if fewer else label, stage, found)

    trained = [stage for stage in stages if not stage.startswith(PROMPTED)]
    starts = {stage: cells(stage, [0] * len(shots)) for stage in trained}
    same = len({tuple((row.value, row.low, row.high) for row in found if row) for found in starts.values()}) == 1
    if len(starts) > 1 and same:
        lines = [line("zero-shot", trained[0], starts[trained[0]])]
    else:
        lines = [line(f"zero-shot {stage}", stage, found) for stage, found in starts.items()]
    for stage in stages:
        if stage not in trained:
            lines += [line(stage, stage, cells(stage, numbers)) for numbers in ([0] * len(shots), shots)]
        elif shots != [0]:
            lines.append(line(f"adapted {stage}", stage, cells(stage, shots)))
    return [each for each in lines if any(each.cells)]


def overall(results: Results, stage: str, shots: int, metric: str, tasks: Sequence[str]) -> Row | None:
    """`Results.overall`, or None where nothing was measured."""
    try:
        return results.overall(stage, shots, metric, tasks)
    except LookupError:
        return None


def of_all_columns(tasks: int) -> str:
    return "the task in all columns" if tasks == 1 else f"the {tasks:,} tasks in all columns"


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


def number(value: float, metric: str = "") -> str:
    """87.3, and -0.12 of the metric `C`, which is a few tenths."""
    digits = 2 if metric == CONSISTENCY else 1
    return f"{round(value, digits) + 0.0:.{digits}f}"  # adding makes 0.0 of -0.0


def signed(value: float, metric: str = "") -> str:
    """+1.2, -0.3, and 0.0 without a sign."""
    text = number(value, metric)
    return f"+{text}" if float(text) > 0 else text


def probability(p: float) -> str:
    """p < .001, p = .012, p = .12: no more digits than say something."""
    if p < 0.001:
        return "p < .001"
    return f"p = {p:.3f}".replace("0.", ".", 1) if p < 0.1 else f"p = {p:.2f}".replace("0.", ".", 1)
