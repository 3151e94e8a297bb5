"""The report's folder: numbers as JSON, tables as text, plots, and one page that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metanlp.report.commands import repeating
from metanlp.report.curve_plot import draw_curve
from metanlp.report.curves import Curve, training_curves
from metanlp.report.drawing import DARK, LIGHT, Palette, can_draw
from metanlp.report.sentences import choose_samples
from metanlp.report.shots_plot import draw_shots
from metanlp.report.summary import counted, number, of_all_columns, probability, summarise, task_means
from metanlp.report.text import difference, tables, value
from metanlp.results import Results
from metanlp.run import Run

TEMPLATE = "page.html.jinja"
SAMPLES = 8

Pictures = dict[str, dict[str, bytes]]  # "curve", "shots" -> "light", "dark" -> PNG


def write_report(results: Results, run: Run, folder: Path) -> Path:
    """Write `results` of `run` into `folder`; returns the path of its report.html.

    Beside it: results.json, comparisons.json, predictions.jsonl and table.txt, and where matplotlib is
    installed curve.png and shots.png.
    """
    results.write(folder)
    text = "\n".join(tables(results, metric) for metric in results.metrics())
    (folder / "table.txt").write_text(text, encoding="utf-8")
    colours = _colours(results.stages(), run)
    curves = training_curves(run)
    pictures = _pictures(results, curves, colours) if can_draw() else {}
    for name in ("curve", "shots"):
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)  # of an earlier report
        if name in pictures:
            path.write_bytes(pictures[name]["light"])
    page = folder / "report.html"
    page.write_text(_page(results, run, curves, pictures, colours), encoding="utf-8")
    return page


def _colours(measured: Sequence[str], run: Run) -> dict[str, int]:
    """A number for each stage: 0, which is grey, for what others are measured against."""
    names = dict.fromkeys([*measured, *run.recipe.stages])
    return {name: number for number, name in enumerate(names, start=0 if len(measured) > 1 else 1)}


def _pictures(results: Results, curves: Sequence[Curve], colours: Mapping[str, int]) -> Pictures:
    palettes: dict[str, Palette] = {"light": LIGHT, "dark": DARK}
    drawn = {"shots": {name: draw_shots(results, colours, palette) for name, palette in palettes.items()}}
    if curves:
        drawn["curve"] = {name: draw_curve(curves, colours, palette) for name, palette in palettes.items()}
    return drawn


def _page(results: Results, run: Run, curves: Sequence[Curve], pictures: Pictures, colours: Mapping[str, int]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from metanlp.config.explain import explained

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "value": value, "difference": difference, "probability": probability, "number": number,
        "png": lambda data: "data:image/png;base64," + base64.b64encode(data).decode(),
    }  # fmt: skip
    summaries = [summarise(results, metric) for metric in results.metrics()]
    return environment.get_template(TEMPLATE).render(
        results=results,
        run=run,
        summaries=summaries,
        overall={(row.stage, row.shots, row.metric): row for row in results.rows if row.task is None},
        per_task={metric: task_means(results, metric) for metric in results.metrics()},
        samples=choose_samples(results, SAMPLES),
        pictures=pictures,
        drawn=can_draw(),
        curves=curves,
        colours=colours,
        palettes={"light": LIGHT, "dark": DARK},
        commands=repeating(results, run),
        recipe=explained(run.recipe),
        counted=counted,
        of_all_columns=of_all_columns,
        adapting_seconds=_adapting_seconds(results),
    )


def _adapting_seconds(results: Results) -> dict[str, Any]:
    """What adapting to one task took: the median over tasks at the largest number of shots, by stage."""
    from statistics import median

    most = max((each.shots for each in results.predicted), default=0)
    seconds: dict[str, list[float]] = {}
    for each in results.predicted:
        if each.shots == most and each.steps:
            seconds.setdefault(each.stage, []).append(each.seconds)
    return {stage: median(found) for stage, found in seconds.items()}
