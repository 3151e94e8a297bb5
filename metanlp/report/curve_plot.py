"""The learning curve: losses against passes, stage after stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metanlp.report.curves import Curve, smoothed
from metanlp.report.drawing import Palette, drawable, figure_as_png

STYLES: dict[str, dict[str, Any]] = {
    "loss": {"linewidth": 1.0, "alpha": 0.55},
    "valid_loss": {"linewidth": 1.4, "linestyle": (0, (4, 2)), "marker": ".", "fillstyle": "none"},
    "valid_loss_adapted": {"linewidth": 1.8, "marker": "."},
}
MOST_MARKERS = 40  # a line of more points is drawn without them
CAPTIONS = {"loss": "training", "valid_loss": "validation tasks", "valid_loss_adapted": "validation, adapted"}


def draw_curve(curves: Sequence[Curve], colours: Mapping[str, int], palette: Palette) -> bytes:
    """Losses against passes; a dotted line leads from a stage to one that starts from it."""
    with figure_as_png(7.6, 3.5, palette) as (figure, png):
        axes = figure.subplots()
        by_name = {curve.stage: curve for curve in curves}
        for curve in curves:
            parent = by_name.get(curve.after or "")
            _draw_stage(axes, curve, parent, palette.of(colours[curve.stage]))
        losses = [value for curve in curves for line in curve.lines.values() for value in line.values]
        _loss_axis(axes, [value for value in losses if math.isfinite(value)])
        axes.set_xlabel("forward and backward passes of one example")
        axes.xaxis.set_major_formatter(lambda number, _: _short(number))
        axes.set_title("loss", loc="left")
        _curve_legend(axes, curves, colours, palette)
    return png.getvalue()


def _draw_stage(axes: Any, curve: Curve, parent: Curve | None, colour: str) -> None:
    for name, line in curve.lines.items():
        values = line.values
        if name == "loss":
            values = smoothed(values)
            axes.plot(line.passes, line.values, color=colour, linewidth=0.7, alpha=0.22)
        style = STYLES[name] | ({"marker": ""} if len(values) > MOST_MARKERS else {})
        if len(values) == 1:
            style["marker"] = "."
        axes.plot(line.passes, values, color=colour, markerfacecolor=colour, **style)
        if parent and name in parent.lines:
            before = parent.lines[name]
            last = smoothed(before.values)[-1] if name == "loss" else before.values[-1]
            ends = ([before.passes[-1], line.passes[0]], [last, values[0]])
            axes.plot(*ends, color=colour, linewidth=0.9, linestyle=(0, (1, 2)))


def _loss_axis(axes: Any, losses: Sequence[float]) -> None:
    """Logarithmic where the losses differ much, as they do after training from scratch."""
    if losses and min(losses) > 0 and max(losses) > 8 * min(losses):
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _curve_legend(axes: Any, curves: Sequence[Curve], colours: Mapping[str, int], palette: Palette) -> None:
    """Stages by colour, measurements by style."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=palette.of(colours[curve.stage]), linewidth=3, label=drawable(curve.stage))
        for curve in curves
    ]
    measured = [name for name in STYLES if any(name in curve.lines for curve in curves)]
    handles += [
        Line2D([], [], color=palette.ink, label=CAPTIONS[name], markerfacecolor=palette.ink, **STYLES[name])
        for name in measured
    ]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _short(number: float) -> str:
    """12000 -> 12k"""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"
