"""What the plots share: colours for light and dark pages, a figure that becomes a PNG file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Palette:
    """Colours for one background. The first stage, which the others are measured against, is grey."""

    ink: str
    faint: str
    paper: str
    stages: tuple[str, ...]

    def of(self, number: int) -> str:
        return self.stages[number % len(self.stages)]


LIGHT = Palette("#222222", "#8a8a86", "#fffff8", ("#6b6b68", "#b4490a", "#0b63a5", "#1b7a4b", "#87459a", "#7a6400"))
DARK = Palette("#dddddd", "#80807c", "#161616", ("#a5a5a2", "#f0975a", "#6cb4ee", "#67c795", "#cf9be0", "#cfc05a"))


def can_draw() -> bool:
    """Whether matplotlib, an extra, is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def figure_as_png(width: float, height: float, palette: Palette) -> Iterator[tuple[Any, io.BytesIO]]:
    """A figure (inches) and the buffer that holds its PNG afterwards. Equal numbers give equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.family": "serif", "font.serif": ["DejaVu Serif"], "font.size": 9, "text.parse_math": False,
        "text.color": palette.ink, "axes.labelcolor": palette.ink, "axes.edgecolor": palette.faint,
        "xtick.color": palette.faint, "ytick.color": palette.faint, "xtick.labelcolor": palette.ink,
        "ytick.labelcolor": palette.ink, "axes.spines.top": False, "axes.spines.right": False,
        "axes.linewidth": 0.6, "axes.titlesize": 10, "axes.titlepad": 10, "lines.markersize": 7,
        "axes.facecolor": palette.paper, "figure.facecolor": palette.paper,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure, png = Figure(figsize=(width, height), layout="constrained"), io.BytesIO()
        yield figure, png
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})


def drawable(name: str) -> str:
    """`name` with ? for letters that the plots' font has no shape for."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    shapes = get_font(findfont(FontProperties(family="DejaVu Serif"))).get_charmap()
    return "".join(letter if ord(letter) in shapes else "?" for letter in name)
