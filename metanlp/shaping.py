"""What of a recipe has shaped the weights in a run's folder; all else may change while the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metanlp.config import Recipe


def begun(recipe: Recipe, folder: Path) -> list[str]:
    """The stages of which something has been trained."""
    return [stage for stage in recipe.stages if any((folder / stage).glob("checkpoints/step-*"))]


def other_shapes(made_by: Recipe, recipe: Recipe, folder: Path) -> list[str]:
    """The fields, in full as `stages.meta.algorithm.inner_lr`, in which `recipe` would make other weights than are there."""
    return sorted(_differences(_shaping(made_by, folder), _shaping(recipe, folder)))


def _shaping(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """How a run adapts and is measured shapes nothing, nor do stages that have not begun."""
    shaping = _without(recipe.dump(), "adapting", "evaluation", "trackers")
    shaping["stages"] = {name: _without(shaping["stages"][name], "adapting") for name in begun(recipe, folder)}
    return shaping


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _differences(a: Any, b: Any, prefix: str = "") -> set[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        return {
            key
            for name in {*a, *b}
            for key in _differences(a.get(name), b.get(name), f"{prefix}.{name}" if prefix else str(name))
        }
    return set() if a == b else {prefix}
