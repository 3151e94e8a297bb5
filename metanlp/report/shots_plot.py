"""Metrics by shots: the mean over tasks with its interval, one line a stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metanlp.metrics import CONSISTENCY, LOWER_IS_BETTER, PERPLEXITY
from metanlp.report.drawing import Palette, drawable, figure_as_png
from metanlp.report.summary import of_all_columns, overall
from metanlp.results import Results, Row


def draw_shots(results: Results, colours: Mapping[str, int], palette: Palette) -> bytes:
    """One panel a metric; each line is named at its end."""
    metrics, shots = results.metrics(), results.shots()
    across = min(2, len(metrics))
    down = math.ceil(len(metrics) / across)
    places = shot_places(shots)
    with figure_as_png(max(3.8 * across, 4.6), 3.1 * down, palette) as (figure, png):
        grid = figure.subplots(down, across, squeeze=False).flat
        for axes, metric in zip(grid, [*metrics, *[""] * (across * down - len(metrics))], strict=True):
            if metric:
                rows = everywhere(results, metric)
                draw_metric(axes, rows, places, {name: palette.of(at) for name, at in colours.items()})
                axes.set_title(title_of(results, metric), loc="left")
            else:
                axes.set_visible(False)
    return png.getvalue()


def shot_places(shots: Sequence[int]) -> dict[int, float]:
    """Where numbers of shots stand on the axis: by their logarithm, and 0 by their mean distance before."""
    places = {count: math.log2(count) for count in shots if count}
    ordered = sorted(places.values())
    step = (ordered[-1] - ordered[0]) / (len(ordered) - 1) if len(ordered) > 1 else 1.0
    if 0 in shots:
        places[0] = ordered[0] - step if ordered else 0.0
    return places


def title_of(results: Results, metric: str) -> str:
    """The metric, and what must be known to read it."""
    tasks = results.in_all_columns(metric)
    some = [of_all_columns(len(tasks))] if len(tasks) < len(results.tasks(metric)) else []
    facts = [*(["lower is better"] if metric in LOWER_IS_BETTER else []), *some]
    return f"{metric} ({', '.join(facts)})" if facts else metric


def everywhere(results: Results, metric: str) -> list[Row]:
    """Means over the tasks that were measured at every number of shots: a line is of the same tasks all along."""
    measured = dict.fromkeys((row.stage, row.shots) for row in results.rows if row.metric == metric)
    tasks = results.in_all_columns(metric)
    found = [overall(results, stage, shots, metric, tasks) for stage, shots in measured]
    return [row for row in found if row is not None]


def draw_metric(axes: Any, rows: Sequence[Row], places: Mapping[int, float], colours: Mapping[str, str]) -> None:
    """`rows` are means over tasks."""
    stages = list(dict.fromkeys(row.stage for row in rows))
    span = (max(places.values()) - min(places.values())) or 1.0
    ends: list[tuple[float, str, str]] = []
    for number, stage in enumerate(stages):
        own = sorted((row for row in rows if row.stage == stage), key=lambda row: row.shots)
        aside = (number - (len(stages) - 1) / 2) * span * 0.014  # intervals stand beside each other
        where = [places[row.shots] + aside for row in own]
        colour = colours[stage]
        if own[0].low is not None:
            axes.vlines(where, [row.low for row in own], [row.high for row in own], color=colour, linewidth=1)
        axes.plot(where, [row.value for row in own], color=colour, marker="o", markersize=4.5, linewidth=1.5)
        ends.append((own[-1].value, drawable(stage), colour))
    low, high = axes.get_ylim()
    if rows[0].metric not in (PERPLEXITY, CONSISTENCY):
        low, high = 0.0, max(high, 1.0)  # scores begin at 0; a plot of zeros has a height as well
    axes.set_ylim(low, high)
    heights = apart([height for height, _, _ in ends], (high - low) / 13)
    beside = max(places.values()) + span * 0.06
    for height, (_, name, colour) in zip(heights, ends, strict=True):
        axes.annotate(name, (beside, height), color=colour, va="center", annotation_clip=False)
    axes.set_xticks(list(places.values()), [str(count) for count in places])
    axes.set_xlim(min(places.values()) - span * 0.06, max(places.values()) + span * 0.04)
    axes.set_xlabel("examples to adapt to (shots)")


def apart(heights: Sequence[float], least: float) -> list[float]:
    """The heights, moved as little as needed for labels not to overlap."""
    order = sorted(range(len(heights)), key=lambda at: heights[at])
    groups: list[list[int]] = []

    def spots(group: Sequence[int]) -> list[float]:
        middle = sum(heights[at] for at in group) / len(group)
        return [middle + (place - (len(group) - 1) / 2) * least for place in range(len(group))]

    for at in order:
        groups.append([at])
        while len(groups) > 1 and spots(groups[-1])[0] - spots(groups[-2])[-1] < least:
            groups[-2:] = [[*groups[-2], *groups[-1]]]
    placed = {at: spot for group in groups for at, spot in zip(group, spots(group), strict=True)}
    return [placed[at] for at in range(len(heights))]
