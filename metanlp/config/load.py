"""Recipe files -> Recipe, with `key=value` overrides; all mistakes are reported at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from metanlp.config.options import Options, problems_of
from metanlp.config.recipe import Recipe
from metanlp.config.yaml import parse_yaml, read_yaml
from metanlp.errors import Problems, UserError, did_you_mean
from metanlp.registry import ALGORITHMS, BACKBONES, FAST_WEIGHTS, TASKS, Registry

AnyOptions = TypeVar("AnyOptions", bound=Options)


def recipes_folder() -> Path:
    """Where the shipped recipes are: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "_recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def recipe_names() -> list[str]:
    root = recipes_folder()
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))


def recipe_path(name_or_path: str) -> Path:
    """The file of a shipped recipe ("demo/numbers") or of one's own ("my.yaml")."""
    own = Path(name_or_path)
    if own.suffix in (".yaml", ".yml"):
        if own.is_file():
            return own
        raise UserError(f"there is no recipe file {name_or_path}; `metanlp recipes` lists the shipped ones")
    names = recipe_names()
    if name_or_path in names:
        return recipes_folder() / f"{name_or_path}.yaml"
    raise UserError(f"no recipe {name_or_path!r}{did_you_mean(name_or_path, names)}; there are {', '.join(names)}")


def load_recipe(name_or_path: str, *overrides: str) -> Recipe:
    """The recipe of that name or file. Overrides are `dotted.key=value`, values in YAML.

    Raises UserError with every mistake in it: unknown or missing options, wrong types, unknown names.
    """
    path = recipe_path(str(name_or_path))
    return build_recipe(read_yaml(path), *overrides, subject=f"recipe {name_or_path}")


def build_recipe(raw: Any, *overrides: str, subject: str = "recipe") -> Recipe:
    """A Recipe from plain data, as read from YAML."""
    if not isinstance(raw, dict):
        raise UserError(
            f"{subject}: a recipe is a mapping of {', '.join(Recipe.model_fields)}; found {type(raw).__name__}"
        )
    problems = Problems(subject)
    raw = _with_kinds_spelt_out(raw)
    for override in overrides:
        _apply(raw, override, problems)
    problems.raise_if_any()
    for key, registry in (("task", TASKS), ("backbone", BACKBONES), ("fast_weights", FAST_WEIGHTS)):
        if key in raw:
            raw[key] = _options(registry, raw[key], key, problems)
    stages = raw.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        for key, registry in (("fast_weights", FAST_WEIGHTS), ("algorithm", ALGORITHMS)):
            if isinstance(stage, dict) and (key == "algorithm" or stage.get(key) is not None) and key in stage:
                stage[key] = _options(registry, stage[key], f"stages.{name}.{key}", problems)
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        for problem in problems_of(error, Recipe, "", "a recipe"):
            problems.add(problem.removeprefix(": "))
    problems.raise_if_any()
    return recipe


def changed(options: AnyOptions, *overrides: str, subject: str) -> AnyOptions:
    """A copy of some options with `key=value` overrides."""
    raw, problems = options.dump(), Problems(subject)
    for override in overrides:
        _apply(raw, override, problems)
    problems.raise_if_any()
    try:
        return type(options).model_validate(raw)
    except ValidationError as error:
        for problem in problems_of(error, type(options), "", subject):
            problems.add(problem)
    problems.raise_if_any()
    raise AssertionError("a validation error has at least one problem")


def _with_kinds_spelt_out(value: Any, key: str = "") -> Any:
    """A deep copy in which `algorithm: fomaml` reads `algorithm: {kind: fomaml}`, wherever a kind can stand."""
    if isinstance(value, dict):
        return {inner: _with_kinds_spelt_out(item, inner) for inner, item in value.items()}
    if isinstance(value, list):
        return [_with_kinds_spelt_out(item) for item in value]
    return {"kind": value} if key in ("backbone", "fast_weights", "algorithm") and isinstance(value, str) else value


def _apply(raw: dict[str, Any], override: str, problems: Problems) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        problems.add(f"{override!r} is not an override; write key=value, as in stages.meta.train.steps=100")
        return
    *path, last = key.split(".")
    place = raw
    for part in path:
        if place.get(part) is None:
            place[part] = {}
        place = place[part]
        if not isinstance(place, dict):
            problems.add(f"{key}: {part} is {place!r} and has no parts")
            return
    try:
        place[last] = _with_kinds_spelt_out(parse_yaml(text, f"override {key}"), last)
    except UserError as error:
        problems.add(str(error))


def _options(registry: Registry, raw: Any, place: str, problems: Problems) -> Any:
    """The registered options that `raw` (a mapping with `kind`) asks for; mistakes go to `problems`."""
    if isinstance(raw, Options):
        return raw
    if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
        problems.add(f"{place} needs a `kind`: one of {', '.join(registry.names())}")
        return _STAND_IN
    fields = {key: value for key, value in raw.items() if key != "kind"}
    try:
        cls = registry.get(raw["kind"])
        return cls.model_validate(fields)
    except ValidationError as error:
        for problem in problems_of(error, cls, place, f"{registry.kind} {raw['kind']!r}"):
            problems.add(problem)
    except UserError as error:
        problems.add(f"{place}: {error}")
    return _STAND_IN


_STAND_IN = Options()  # lets the rest of a recipe be validated after a part of it failed
