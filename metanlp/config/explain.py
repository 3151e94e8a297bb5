"""A recipe as YAML with every field's help beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from metanlp.config.options import Options
from metanlp.config.recipe import Recipe
from metanlp.config.yaml import to_yaml

COLUMN = 48  # where comments begin


def explained(recipe: Recipe) -> str:
    """YAML that loads back to an equal recipe; each field's help stands beside it as a comment."""
    return "\n".join(_lines(recipe, 0)) + "\n"


def _lines(options: Options, depth: int) -> Iterator[str]:
    if options.kind:
        yield f"{'  ' * depth}kind: {options.kind}"
    for name, field in type(options).model_fields.items():
        yield from _entry(name, getattr(options, name), field.description or "", depth)


def _entry(name: str, value: Any, description: str, depth: int) -> Iterator[str]:
    start = "  " * depth + f"{name}:"
    nested = value if isinstance(value, dict) and any(isinstance(item, Options) for item in value.values()) else None
    if isinstance(value, Options):
        yield _commented(start, description)
        yield from _lines(value, depth + 1)
    elif nested:
        yield _commented(start, description)
        for key, item in nested.items():
            yield "  " * (depth + 1) + f"{inline(key)}:"
            yield from _lines(item, depth + 2)
    else:
        yield _commented(f"{start} {inline(value)}", description)


def inline(value: Any) -> str:
    """A scalar, list or mapping on one line of YAML."""
    if isinstance(value, str) and len(value.splitlines()) > 1:
        return json.dumps(value)  # which is YAML as well, and needs no second line
    plain = list(value) if isinstance(value, tuple) else value
    return to_yaml([plain], flow=True).strip().removeprefix("[").removesuffix("]")


def _commented(text: str, comment: str) -> str:
    return f"{text:{COLUMN - 1}} # {comment}" if comment else text
