"""Every field of a recipe as a page of docs, made from the fields' own types, defaults and help."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from metanlp.config.explain import inline
from metanlp.config.languages import NewLanguage
from metanlp.config.options import Options
from metanlp.config.recipe import Adapting, Evaluation, Recipe, Stage, Train
from metanlp.registry import ALGORITHMS, BACKBONES, FAST_WEIGHTS, TASKS, Registry

COMMAND = "python docs/make_fields.py"
FIXED: dict[str, type[Options]] = {
    "recipe": Recipe,
    "stages.NAME": Stage,
    "stages.NAME.train": Train,
    "adapting": Adapting,
    "evaluation": Evaluation,
    "task.new_languages.CODE": NewLanguage,
}
REGISTRIES = {"task": TASKS, "backbone": BACKBONES, "fast_weights": FAST_WEIGHTS, "stages.NAME.algorithm": ALGORITHMS}
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}
PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}
LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
INTRODUCTION = f"""# Every field of a recipe

Made by `{COMMAND}` from the fields' own help. `metanlp show RECIPE` prints the same help beside a recipe's values.

A recipe is YAML. Fields that it leaves out have their default. A value is changed on the command line by its place:
`metanlp train demo/numbers stages.meta.train.steps=100`. Only `true` and `false` are booleans (`no` is Norwegian),
`1e-4` is a number, and `null` is an empty value. Where a *kind* is chosen, `fast_weights: full` is short for
`fast_weights: {{kind: full}}`.

[Your language in ten minutes](your-language.md) shows what a recipe says of a language that the model has never met."""


def fields_page() -> str:
    """Markdown with a section for every part of a recipe and for everything that is registered."""
    sections = list(FIXED.items())
    for place, registry in REGISTRIES.items():
        sections += [(f"{place}: {name}", registry.get(name)) for name in registry.names()]
    contents = "\n".join(f"- [`{title}`](#{_anchor(title)})" for title, _ in sections)
    parts = [INTRODUCTION, contents]
    for title, cls in sections:
        parts += [f"## {title}", inspect.cleandoc(cls.__doc__ or ""), "\n".join(_table(cls))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(cls: type[Options]) -> Iterator[str]:
    yield "| field | holds | default | what it is |"
    yield "|---|---|---|---|"
    for name, field in cls.model_fields.items():
        help_line = (field.description or "").replace("|", "\\|")
        yield f"| `{name}` | {_holds(name, field)} | {_default(field)} | {help_line} |"


def _holds(name: str, field: FieldInfo) -> str:
    for place, registry in REGISTRIES.items():
        if place.rpartition(".")[2] == name and field.annotation is Any:
            return _choices(place, registry, needed=field.is_required())
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    words = [" ".join([_words(kind), " and ".join(_limits(field))]).strip() for kind in kinds]
    return _or([*words, "empty"] if type(None) in _alternatives(field.annotation) else words)


def _choices(place: str, registry: Registry, needed: bool) -> str:
    links = [f"[`{name}`](#{_anchor(f'{place}: {name}')})" for name in registry.names()]
    return "kind " + _or(links if needed else [*links, "empty"])


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _words(kind: Any) -> str:
    """A type as a reader of YAML would put it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _or([f"`{each}`" for each in inner])
    if origin is dict:
        return f"{_words(inner[1])} by name"
    if origin is list:
        return f"list of {PLURALS[inner[0]]}" if inner[0] in PLURALS else f"list of {_words(inner[0])}"
    if origin is tuple:
        return f"list of {len(inner)} {PLURALS[inner[0]]}"
    for place, cls in FIXED.items():
        if cls is kind:
            return _link(place)
    return WORDS[kind]


def _limits(field: FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        for name, words in LIMITS.items():
            if hasattr(rule, name):
                yield f"{words} {getattr(rule, name):g}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Options):
        return "its defaults"
    return "empty" if value in (None, "", []) else f"`{inline(value)}`"


def _or(words: Sequence[str]) -> str:
    """a, b or c"""
    return " or ".join([*([", ".join(words[:-1])] if words[:-1] else []), words[-1]])


def _link(place: str) -> str:
    return f"[`{place}`](#{_anchor(place)})"


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")
