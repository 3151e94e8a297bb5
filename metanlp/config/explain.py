"""A recipe as YAML with every field's help beside it, and the same help as a page of docs."""

from __future__ import annotations

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
            yield "  " * (depth + 1) + f"{key}:"
            yield from _lines(item, depth + 2)
    else:
        yield _commented(f"{start} {_inline(value)}", description)


def _inline(value: Any) -> str:
    """A scalar, list or mapping on one line of YAML."""
    plain = list(value) if isinstance(value, tuple) else value
    text = to_yaml([plain], flow=True).strip()
    return text.removeprefix("[").removesuffix("]")


def _commented(text: str, comment: str) -> str:
    return f"{text:{COLUMN}}# {comment}" if comment else text


def fields_page() -> str:
    """Markdown: every field of a recipe and of all that is registered, with type, default and help."""
    from metanlp.config.recipe import Adapting, Evaluation, Stage, Train
    from metanlp.registry import ALGORITHMS, BACKBONES, FAST_WEIGHTS, TASKS

    parts = [
        "# Every field of a recipe",
        "Made from the fields' own help by `python docs/make_fields.py`. `metanlp show RECIPE` prints them with values.",
    ]
    fixed = {"": Recipe, "stages.<name>": Stage, "stages.<name>.train": Train, "adapting": Adapting, "evaluation": Evaluation}
    for place, cls in fixed.items():
        parts += [f"## `{place}`" if place else "## The recipe", (cls.__doc__ or "").strip(), _table(cls)]
    registries = {"task": TASKS, "backbone": BACKBONES, "fast_weights": FAST_WEIGHTS, "stages.<name>.algorithm": ALGORITHMS}
    for place, registry in registries.items():
        for name in registry.names():
            cls = registry.get(name)
            parts += [f"## `{place}` of kind `{name}`", (cls.__doc__ or "").strip().split("\n\n")[0], _table(cls)]
    return "\n\n".join(parts) + "\n"


def _table(cls: type[Options]) -> str:
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    for name, field in cls.model_fields.items():
        kind = str(field.annotation.__name__ if isinstance(field.annotation, type) else field.annotation)
        kind = kind.replace("typing.", "").replace("metanlp.config.recipe.", "").replace("metanlp.config.options.", "").replace("|", "or")
        if field.is_required():
            default = "needed"
        else:
            value = field.get_default(call_default_factory=True)
            default = "see there" if isinstance(value, Options) else f"`{_inline(value)}`"
        rows.append(f"| `{name}` | {kind} | {default} | {field.description or ''} |")
    return "\n".join(rows)
