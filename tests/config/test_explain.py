"""`metanlp show`: YAML with help beside it that still loads back to the same recipe."""

from __future__ import annotations

from typing import Any

import pytest
from makers import plain_recipe

from metanlp.config.explain import explained
from metanlp.config.load import build_recipe, load_recipe, recipe_names
from metanlp.config.yaml import parse_yaml


@pytest.mark.parametrize("name", recipe_names())
def test_what_show_prints_is_the_recipe(name: str) -> None:
    recipe = load_recipe(name)
    assert build_recipe(parse_yaml(explained(recipe), name)) == recipe


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "",
        "a # no comment",
        "{source}",
        "it's",
        'say "ja"',
        "two\nlines",
        "tab\there",
        "1e-4",
        "x" * 47,
        "x" * 300,
        "a: b",
        " spaces ",
        "ʻōlelo",
    ],
)
def test_texts_of_every_kind_come_back(text: str, tmp_path: Any) -> None:
    raw = plain_recipe(tmp_path)
    raw["task"] |= {"made_by": text, "prompt": "{source}" + text}
    recipe = build_recipe(raw)
    again = build_recipe(parse_yaml(explained(recipe), "explained"))
    assert (again.task.made_by, again.task.prompt) == (text, "{source}" + text)
    assert again == recipe


@pytest.mark.parametrize("length", range(28, 52))
def test_help_is_a_comment_whatever_stands_before_it(length: int, tmp_path: Any) -> None:
    raw = plain_recipe(tmp_path)
    raw["task"]["made_by"] = "m" * length
    line = next(line for line in explained(build_recipe(raw)).splitlines() if "made_by" in line)
    assert line.startswith(f"  made_by: {'m' * length} ")
    assert " # the command that makes that folder" in line


def test_stages_may_have_odd_names(tmp_path: Any) -> None:
    raw = plain_recipe(tmp_path)
    raw["stages"] = {"no": raw["stages"]["meta"], "a: b": raw["stages"]["meta"] | {"after": "no"}}
    recipe = build_recipe(raw)
    assert build_recipe(parse_yaml(explained(recipe), "explained")) == recipe


def test_every_field_has_its_help(tmp_path: Any) -> None:
    recipe = build_recipe(plain_recipe(tmp_path))
    lines = explained(recipe).splitlines()
    for options in (recipe, recipe.task, recipe.backbone, recipe.fast_weights, recipe.stages["meta"].algorithm):
        for name, field in type(options).model_fields.items():
            start, end = f"{name}:", f"# {field.description}"
            assert any(line.strip().startswith(start) and line.endswith(end) for line in lines)
