"""metanlp: meta-train pretrained transformers over many tasks; adapt to one more from a few examples."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Recipe": "metanlp.config",
    "load_recipe": "metanlp.config",
    "meta_train": "metanlp.training",
    "adapt": "metanlp.adaptation",
    "evaluate": "metanlp.evaluation",
    "pipeline": "metanlp.pipelines.factory",
    "register_pipelines": "metanlp.pipelines.huggingface",
    "Run": "metanlp.run",
    "TaskCollection": "metanlp.data.collection",
}

__all__ = [
    "Recipe",
    "Run",
    "TaskCollection",
    "adapt",
    "evaluate",
    "load_recipe",
    "meta_train",
    "pipeline",
    "register_pipelines",
]


def __getattr__(name: str) -> Any:
    """Imports what is asked for and no more: torch only where something needs it."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'metanlp' has no attribute {name!r}")
