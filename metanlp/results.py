"""What an evaluation found: every prediction, the rows of `results.json`, and what they say when averaged and compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from metanlp.config.recipe import Evaluation
from metanlp.diversity import DISTINCT
from metanlp.metrics import METRICS, Score, bootstrap_interval, paired_bootstrap, score, sentence_bootstrap

OF_OTHERS = "chrF of others"  # the metric of what adapting costs other tasks
PROMPTED = (
    "zero-shot prompted"  # how stages are called that are none: the untrained backbone, shown something in the prompt
)


@dataclass(frozen=True)
class Predicted:
    """What was found of one task at one number of shots, from one stage: texts to be scored, and scores of other things."""

    stage: str  # "meta", or "RUN/meta" for a stage of another run
    algorithm: str
    task: str
    shots: int
    seed: int
    passes: int
    steps: int  # of adapting
    seconds: float  # to adapt
    sources: list[str]
    references: list[str]
    predictions: list[str]  # empty where no metric asks for texts
    measured: list[Score] = field(default_factory=list)  # what is no comparison of texts, as the perplexity
    other_references: list[str] = field(default_factory=list)  # of training tasks, where it was asked what they lose
    other_predictions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """One number with its 95% interval: of a task (over its sentences), or over `tasks` of them (`task` None: their mean).

    Scores of texts are 0 to 100. `passes` counts the forward and backward passes of one example that training took, the
    stages before it included.
    """

    collection: str
    stage: str
    algorithm: str
    task: str | None
    shots: int
    seed: int | None  # None: the mean over seeds
    metric: str
    value: float
    low: float | None  # None: one task alone tells nothing of others, and no sentence decides its perplexity alone
    high: float | None
    passes: int
    signature: str
    tasks: int  # in the mean; tasks with too few examples for so many shots are not


@dataclass(frozen=True)
class Comparison:
    """How much better `stage` is than `baseline` on the same episodes: a paired bootstrap over tasks that both have."""

    stage: str
    baseline: str
    shots: int
    metric: str
    difference: float
    low: float
    high: float
    p: float
    tasks: int


@dataclass(frozen=True)
class Results:
    """All of an evaluation. `rows` has one row for each task and seed, and one over all tasks."""

    collection: str
    digest: str  # of the collection's examples
    split: str
    rows: list[Row]
    comparisons: list[Comparison]
    predicted: list[Predicted]
    environment: dict[str, Any]
    asked: dict[str, Any]  # the options of the evaluation

    def overall(self, stage: str, shots: int, metric: str, tasks: Sequence[str] | None = None) -> Row:
        """The mean over all tasks that were measured at so many shots, or over those of `tasks` among them.

        LookupError where none was.
        """
        rows = [row for row in self.rows if (row.stage, row.shots, row.metric) == (stage, shots, metric)]
        own = [row for row in rows if row.task is not None]
        chosen = [row for row in own if tasks is None or row.task in tasks]
        if not chosen:
            raise LookupError(f"{metric} of {stage} was not measured at {shots} shots")
        return next(row for row in rows if row.task is None) if len(chosen) == len(own) else _over_tasks(chosen)

    def by_task(self, stage: str, shots: int, metric: str) -> dict[str, float]:
        """Each task's value, the mean over seeds."""
        asked = (stage, shots, metric)
        return _by_task([row for row in self.rows if row.task and (row.stage, row.shots, row.metric) == asked])

    def tasks(self, metric: str, shots: int | None = None) -> list[str]:
        """Those measured at so many shots, or at any."""
        rows = [row for row in self.rows if row.metric == metric and shots in (None, row.shots)]
        return sorted({row.task for row in rows if row.task is not None})

    def in_all_columns(self, metric: str) -> list[str]:
        """The tasks that were measured at every number of shots: all, but where some have too few examples for some."""
        shots = {row.shots for row in self.rows if row.metric == metric}
        return sorted(set.intersection(*(set(self.tasks(metric, count)) for count in shots)))

    def stages(self) -> list[str]:
        return list(dict.fromkeys(row.stage for row in self.rows))

    def shots(self) -> list[int]:
        return sorted({row.shots for row in self.rows})

    def metrics(self) -> list[str]:
        return list(dict.fromkeys(row.metric for row in self.rows))

    def write(self, folder: Path) -> Path:
        """`results.json` (the rows), `comparisons.json` and `predictions.jsonl` in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "results.json"
        path.write_text(_json([asdict(row) for row in self.rows]), encoding="utf-8")
        compared: dict[str, Any] = {"split": self.split, "digest": self.digest, "environment": self.environment}
        compared["asked"] = self.asked
        compared["comparisons"] = [asdict(comparison) for comparison in self.comparisons]
        (folder / "comparisons.json").write_text(_json(compared), encoding="utf-8")
        with (folder / "predictions.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in self.predicted)
        return path

    @classmethod
    def read(cls, folder: Path) -> Results:
        """What `write` has written there."""
        rows = [Row(**row) for row in json.loads((folder / "results.json").read_text(encoding="utf-8"))]
        told = json.loads((folder / "comparisons.json").read_text(encoding="utf-8"))
        told["comparisons"] = [Comparison(**each) for each in told["comparisons"]]
        with (folder / "predictions.jsonl").open(encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
        predicted = [Predicted(**{**each, "measured": [Score(**one) for one in each["measured"]]}) for each in found]
        return cls(rows[0].collection, rows=rows, predicted=predicted, **told)


def results_of(
    predicted: Sequence[Predicted],
    asked: Evaluation,
    baselines: Sequence[str],
    *,
    collection: str,
    digest: str,
    split: str,
    environment: dict[str, Any],
) -> Results:
    """Score every prediction, put intervals to the numbers, and compare each stage with each of `baselines`."""
    rows: list[Row] = []
    for each in predicted:
        for name, scored, low, high in _scores(each, asked.metrics):
            rows.append(
                Row(
                    collection, each.stage, each.algorithm, each.task, each.shots, each.seed,
                    name, scored.value, low, high, each.passes, scored.signature, 1,
                )
            )  # fmt: skip
    overall = [_over_tasks(group) for group in _grouped(rows).values()]
    comparisons = _comparisons(rows, baselines)
    return Results(
        collection, digest, split, [*overall, *rows], comparisons, list(predicted), environment, asked.dump()
    )


def _scores(each: Predicted, metrics: Sequence[str]) -> Iterator[tuple[str, Score, float | None, float | None]]:
    """Name, score and interval of everything known of a task, in the order of `metrics`."""
    measured = {found.metric: found for found in each.measured}
    written = [metric for metric in metrics if metric in (*METRICS, *DISTINCT)]  # rows of prompting lack some others
    texts = {metric: (metric, each.predictions, each.references) for metric in written}
    if each.other_predictions:
        texts[OF_OTHERS] = ("chrF", each.other_predictions, each.other_references)
    for name in dict.fromkeys([*metrics, *measured, *texts]):
        if name in measured:
            yield name, measured[name], None, None
        elif name in texts and texts[name][1]:
            metric, predictions, references = texts[name]
            scored = score(metric, predictions, references)
            interval = sentence_bootstrap(metric, predictions, references, each.seed) if metric in METRICS else None
            yield name, scored, interval.low if interval else None, interval.high if interval else None


def score_of(each: Predicted, metric: str) -> Score:
    """What was found of a task by this metric."""
    return next(scored for name, scored, _, _ in _scores(each, [metric]) if name == metric)


Key = tuple[str, int, str]


def _grouped(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.stage, row.shots, row.metric), []).append(row)
    return groups


def _by_task(rows: Sequence[Row]) -> dict[str, float]:
    """Each task's value, the mean over seeds."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(str(row.task), []).append(row.value)
    return {task: sum(found) / len(found) for task, found in values.items()}


def _over_tasks(rows: Sequence[Row]) -> Row:
    values = list(_by_task(rows).values())
    interval = bootstrap_interval(values, seed=0)
    first, seeds = rows[0], {row.seed for row in rows}
    return Row(
        first.collection, first.stage, first.algorithm, None, first.shots, first.seed if len(seeds) == 1 else None,
        first.metric, sum(values) / len(values), interval.low if interval else None, interval.high if interval else None,
        first.passes, first.signature, len(values),
    )  # fmt: skip


def _comparisons(rows: Sequence[Row], baselines: Sequence[str]) -> list[Comparison]:
    """Every stage that is no baseline against every one that is."""
    groups = _grouped(rows)
    found = []
    for (stage, shots, metric), own in groups.items():
        for baseline in baselines if stage not in baselines else ():
            ours, theirs = _by_task(own), _by_task(groups.get((baseline, shots, metric), []))
            tasks = sorted(ours.keys() & theirs.keys())
            pair = paired_bootstrap([ours[task] for task in tasks], [theirs[task] for task in tasks], seed=0)
            if pair is not None:
                found.append(
                    Comparison(stage, baseline, shots, metric, pair.difference, pair.low, pair.high, pair.p, len(tasks))
                )
    return found


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
