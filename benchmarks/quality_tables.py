"""What benchmarks/quality.py has measured, as tables, a verdict and curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from metanlp.results import Results
    from metanlp.tuned import Choice


@dataclass(frozen=True)
class Measured:
    """What was measured after so many steps, and what was chosen on validation tasks before: one dict for each seed."""

    results: Results
    choices: list[dict[str, list[Choice]]]

    def on_validation(self, stage: str, shots: int) -> float:
        """The score of what was chosen, the mean over seeds."""
        return fmean(choice.best.value for seed in self.choices for choice in seed[stage] if choice.shots == shots)


def table(found: Measured, steps: int) -> str:
    """The metrics' tables after so many steps, and what was chosen for that."""
    from metanlp.report import tables
    from metanlp.report.summary import counted
    from metanlp.tuning import choices_table

    results = found.results
    heading = f"After {counted(steps, 'step')} of adapting"
    chosen = [
        f"chosen on validation tasks, seed {seed}:\n{choices_table(choices, results.metrics()[0])}\n"
        for seed, choices in zip(results.asked["seeds"], found.choices, strict=True)
    ]
    measured = [tables(results, metric) for metric in results.metrics()]
    return "\n".join([heading, "=" * len(heading), "", *measured, *chosen])


def summary(found: Mapping[int, Measured]) -> str:
    """All numbers of steps in Markdown, a table for each metric: means with intervals, then differences to the baseline.

    Seconds are those of the wall, of a task adapted to beside whatever else ran, the mean over numbers of shots.
    """
    return "\n\n".join(_summary(found, metric) for metric in next(iter(found.values())).results.metrics())


def _summary(found: Mapping[int, Measured], metric: str) -> str:
    from metanlp.report.summary import counted, probability
    from metanlp.report.text import difference, value

    first = next(iter(found.values())).results
    columns, stages = [count for count in first.shots() if count], first.asked["stages"]
    heads = [metric, *(counted(count, "shot") for count in columns), "seconds to adapt"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]

    def add(name: str, cells: list[str], seconds: str = "") -> None:
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds} |")

    for stage in stages:
        add(f"{stage}, zero-shot", [value(first.overall(stage, 0, metric))] * len(columns))
    for name in [name for name in first.stages() if name not in stages]:
        asked = {row.shots for row in first.rows if row.stage == name}  # persona sentences need no examples
        add(name, [value(first.overall(name, count if count in asked else 0, metric)) for count in columns])
    for steps, each in found.items():
        results = each.results
        told = counted(steps, "step")
        for stage in stages:
            times = [one.seconds for one in results.predicted if one.stage == stage and one.shots]
            add(f"{stage}, {told}", [value(results.overall(stage, n, metric)) for n in columns], f"{fmean(times):.2f}")
        for stage in stages[1:]:
            pairs = {one.shots: one for one in results.comparisons if (one.stage, one.metric) == (stage, metric)}
            cells = [f"{difference(pairs[n])}, {probability(pairs[n].p)}" if n in pairs else "" for n in columns]
            add(f"{stage} - {stages[0]}, {told}", cells)
    return "\n".join(lines)


def verdict(found: Mapping[int, Measured]) -> str:
    """By the first metric: each stage against the baseline, both after the steps that were the best on validation tasks."""
    from metanlp.metrics import LOWER_IS_BETTER, paired_bootstrap
    from metanlp.report.summary import probability

    first = next(iter(found.values())).results
    metric, (baseline, *others) = first.metrics()[0], first.asked["stages"]
    sign = -1 if metric in LOWER_IS_BETTER else 1

    def score(stage: str, shots: int, steps: int) -> float:
        return sign * found[steps].results.overall(stage, shots, metric).value

    lines = [
        f"{metric}, each stage after the number of steps that was the best on validation tasks; p of each line alone"
    ]
    for shots in [count for count in first.shots() if count]:
        best = {}
        for stage in (baseline, *others):
            on_validation = {steps: sign * each.on_validation(stage, shots) for steps, each in found.items()}
            best[stage] = max(on_validation, key=on_validation.__getitem__)
        for stage in others:
            ours, theirs = (found[best[each]].results.by_task(each, shots, metric) for each in (stage, baseline))
            pair = paired_bootstrap([ours[task] for task in ours], [theirs[task] for task in ours], seed=0)
            gain = (
                f"{pair.difference:+.1f} [{pair.low:.1f}, {pair.high:.1f}], {probability(pair.p)}"
                if pair
                else "one task"
            )
            aim = score(baseline, shots, max(found))
            soon = [steps for steps in sorted(found) if score(stage, shots, steps) >= aim]
            reached = f"in {soon[0]} steps" if soon else "never"
            lines.append(
                f"{shots:5} shots: {stage} after {best[stage]} steps - {baseline} after {best[baseline]}: {gain}; "
                f"{baseline}'s score after {max(found)} is reached {reached}"
            )
    return "\n".join(lines)


def draw(found: Mapping[int, Results], path: Path) -> None:
    """The first metric by steps, a panel for each number of shots; nothing where matplotlib is not installed."""
    from metanlp.report.drawing import LIGHT, can_draw, figure_as_png

    if not can_draw():
        return
    first = next(iter(found.values()))
    metric, stages = first.metrics()[0], first.asked["stages"]
    columns = [count for count in first.shots() if count]
    with figure_as_png(3.2 * len(columns), 3.2, LIGHT) as (figure, png):
        for axes, shots in zip(figure.subplots(1, len(columns), squeeze=False, sharey=True).flat, columns, strict=True):
            for number, stage in enumerate(stages):
                rows = [found[steps].overall(stage, shots, metric) for steps in sorted(found)]
                steps, values = sorted(found), [row.value for row in rows]
                axes.plot(steps, values, color=LIGHT.of(number), label=stage, marker="o", markersize=3)
                if all(row.low is not None for row in rows):
                    bounds = [row.low for row in rows], [row.high for row in rows]
                    axes.fill_between(steps, *bounds, color=LIGHT.of(number), alpha=0.15, linewidth=0)
            axes.set_xscale("log")
            axes.set_xticks(sorted(found), [str(each) for each in sorted(found)])
            axes.set_xlabel("steps of adapting")
            axes.set_title(f"{metric}, {shots} shots", loc="left")
        axes.legend(frameon=False)
    path.write_bytes(png.getvalue())
