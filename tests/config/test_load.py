"""Recipes: overrides, round trips, and every mistake at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import plain_recipe

from metanlp.config import load_recipe, recipe_names
from metanlp.config.load import build_recipe, changed
from metanlp.config.recipe import Adapting, Evaluation, Recipe, Train
from metanlp.config.yaml import parse_yaml, to_yaml, write_yaml
from metanlp.errors import UserError


def build(*overrides: str, **changes: Any) -> Recipe:
    return build_recipe({**plain_recipe(Path("data/x")), **changes}, *overrides, subject="recipe mine")


def problems(*overrides: str, **changes: Any) -> list[str]:
    with pytest.raises(UserError) as caught:
        build(*overrides, **changes)
    first, *rest = str(caught.value).split("\n  ")
    assert first == f"recipe mine: {len(rest)} problem{'s' if len(rest) != 1 else ''}"
    return rest


def test_a_recipe_holds_what_it_says_and_the_defaults_of_the_rest() -> None:
    recipe = build()
    assert recipe.seed == 0
    assert recipe.precision == "fp32"
    assert recipe.backbone.kind == "tiny"
    assert recipe.backbone.width == 16
    assert recipe.stages["meta"].algorithm.inner_steps == 2
    assert recipe.stages["meta"].train.learning_rate == Train().learning_rate
    assert recipe.result == "meta"
    assert recipe.adapting_of("meta") is recipe.adapting


def test_overrides_are_yaml_at_a_dotted_place() -> None:
    recipe = build(
        "seed=7",
        "stages.meta.train.learning_rate=1e-4",
        "stages.meta.train.clip=",
        "stages.meta.algorithm.inner_steps=4",
        "evaluation.shots=[0, 8]",
        "task.prompt='to no: {source}'",
        "backbone.width=32",
    )
    assert recipe.seed == 7
    assert recipe.stages["meta"].train.learning_rate == 1e-4
    assert recipe.stages["meta"].train.clip is None
    assert recipe.stages["meta"].algorithm.inner_steps == 4
    assert recipe.evaluation.shots == [0, 8]
    assert recipe.task.prompt == "to no: {source}"
    assert recipe.backbone.width == 32


def test_an_override_may_name_a_kind_alone() -> None:
    assert build("fast_weights=lora").fast_weights.kind == "lora"
    assert build("fast_weights=lora", "fast_weights.r=3").fast_weights.r == 3
    assert (
        build("stages.meta.algorithm=reptile", "stages.meta.train.support=10").stages["meta"].algorithm.kind
        == "reptile"
    )


def test_an_override_may_fill_an_empty_part() -> None:
    """`adapting:` of a stage is empty in a recipe that was written out."""
    raw = build().dump()
    assert raw["stages"]["meta"]["adapting"] is None
    recipe = build_recipe(raw, "stages.meta.adapting.steps=9")
    assert recipe.adapting_of("meta").steps == 9
    assert recipe.adapting.steps == 4


def test_every_mistake_at_once() -> None:
    raw = plain_recipe(Path("x"))
    raw["seed"] = -1
    raw["sed"] = 3
    raw["backbone"] = {"kind": "tiny", "widht": 3, "heads": "many"}
    raw["fast_weights"] = "loar"
    raw["stages"]["meta"]["algorithm"] = {"kind": "fomaml", "inner_step": 3}
    raw["stages"]["meta"]["train"]["steps"] = -1
    with pytest.raises(UserError) as caught:
        build_recipe(raw)
    text = str(caught.value)
    assert "7 problems" in text
    for part in (
        "seed is -1",
        "'sed'",
        "did you mean 'seed'",
        "'widht'",
        "did you mean 'width'",
        "heads is 'many'",
        "did you mean 'lora'",
        "algorithm 'fomaml' has no option 'inner_step'; it takes",
        "did you mean 'inner_steps'",
        "stages.meta.train.steps is -1",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fast_weights": "loar"}, "no kind of fast weights 'loar' (did you mean 'lora'?); there are full, lora"),
        ({"fast_weights": 3}, "fast_weights needs a `kind`: one of full, lora"),
        ({"backbone": {"width": 3}}, "backbone needs a `kind`: one of"),
        ({"backbone": {"kind": "seq2seq"}}, "backbone.model is missing"),
        (
            {"task": {"kind": "translation", "collection": "x", "prompt": "say it"}},
            "the prompt must have {source} in it",
        ),
        ({"precision": "fp16"}, "precision is 'fp16'; it should be 'fp32' or 'bf16'"),
        ({"stages": {}}, "stages"),
        ({"evaluation": {"stages": ["mate"]}}, "evaluation.stages names 'mate'; the stages are meta"),
        ({"label_smoothing": True}, "label_smoothing"),
        (
            {"stages": {"meta": {"after": "start", "algorithm": "joint"}}},
            "stages.meta.after is 'start'; earlier stages are none",
        ),
        (
            {
                "stages": {
                    "rates": {"algorithm": "learned_rates"},
                    "meta": {"after": "rates", "fast_weights": "lora", "algorithm": "joint", "train": {"support": 0}},
                }
            },
            "stages.meta has other fast weights than rates, so nothing of what rates learns would reach it",
        ),
        ({"stages": [1]}, "stages"),
        ({"stages": {"meta": 3}}, "stages.meta"),
        ({"stages": {"meta": {}}}, "stages.meta.algorithm is missing"),
        ({"stages": {"meta": {"algorithm": None}}}, "stages.meta.algorithm needs a `kind`: one of"),
    ],
)
def test_a_mistake_is_told_once_in_a_sentence(changes: dict, said: str) -> None:
    found = problems(**changes)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize("raw", [None, [], "text", 3])
def test_what_is_no_mapping_is_no_recipe(raw: Any) -> None:
    with pytest.raises(UserError, match="a recipe is a mapping of seed, task"):
        build_recipe(raw)


def test_mistakes_in_overrides_are_told_together() -> None:
    found = problems("seed", "=3", "backbone.width.x=3", "seed=[1")
    assert len(found) == 4
    assert "'seed' is not an override; write key=value" in found[0]
    assert "'=3' is not an override" in found[1]
    assert "width is 16 and has no parts" in found[2]
    assert "seed" in found[3]
    assert "not valid YAML" in found[3]


def test_an_episode_that_does_not_divide_is_refused() -> None:
    found = problems("stages.meta.train.support=5")
    assert len(found) == 1
    assert "train.support is 5; it must be a multiple of the algorithm's inner_steps, 2" in found[0]


def test_overrides_leave_the_given_data_alone() -> None:
    raw = plain_recipe(Path("x"))
    before = to_yaml(raw)
    build_recipe(raw, "stages.meta.train.steps=9", "backbone.width=24")
    assert to_yaml(raw) == before


def test_changed_options_are_copies_with_all_mistakes() -> None:
    before = Evaluation()
    assert changed(before, "shots=[1]", subject="evaluate").shots == [1]
    assert before.shots == [0, 4, 16, 64]
    with pytest.raises(UserError, match=r"shot.*did you mean 'shots'"):
        changed(before, "shot=[1]", subject="evaluate")
    with pytest.raises(UserError, match="is not an override"):
        changed(before, "shots", subject="evaluate")


numbers = st.floats(1e-6, 1e6)
names = st.sampled_from(["no", "1e-4", "null", "q", "a: b", "{x}", "grüß", "12:30", "2020-01-01", "0x1f", "#"])


@given(
    seed=st.integers(0, 2**63),
    rate=numbers,
    clip=st.none() | numbers,
    share=st.tuples(st.floats(0, 0.4), st.floats(0.5, 1)),
    targets=st.lists(names, max_size=3),
    match=st.sampled_from(["1e5", "no", ".*", "on", "~"]),
    lora=st.booleans(),
    prompt=names,
    adapting=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_dump_loads_back_to_an_equal_recipe(seed, rate, clip, share, targets, match, lora, prompt, adapting) -> None:
    raw = plain_recipe(Path("1e-4"))
    raw["seed"] = seed
    raw["task"]["prompt"] = f"{prompt} {{source}}"
    raw["stages"]["meta"]["train"].update(learning_rate=rate, clip=clip, share=list(share))
    raw["fast_weights"] = {"kind": "lora", "targets": targets} if lora else {"kind": "full", "match": match}
    if adapting:
        raw["stages"]["meta"]["adapting"] = {"learning_rate": rate}
    recipe = build_recipe(raw)
    again = build_recipe(parse_yaml(to_yaml(recipe.dump()), "dump"))
    assert again == recipe
    assert again.dump() == recipe.dump()
    assert type(again.stages["meta"].algorithm) is type(recipe.stages["meta"].algorithm)


def test_recipes_cannot_be_changed_in_place() -> None:
    recipe = build()
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3
    with pytest.raises(ValueError, match="frozen"):
        recipe.stages["meta"].train.steps = 3


def test_a_recipe_is_found_by_name_or_file(tmp_path: Path) -> None:
    write_yaml(tmp_path / "mine.yaml", plain_recipe(Path("x")))
    assert load_recipe(str(tmp_path / "mine.yaml"), "seed=3").seed == 3
    with pytest.raises(UserError, match=r"there is no recipe file .*no\.yaml"):
        load_recipe(str(tmp_path / "no.yaml"))
    names = recipe_names()
    assert names
    assert load_recipe(names[0]).stages
    with pytest.raises(UserError, match=f"did you mean '{names[0]}'"):
        load_recipe(names[0] + "s")


def test_every_field_says_what_it_is() -> None:
    for cls in (Recipe, Train, Adapting, Evaluation):
        for name, field in cls.model_fields.items():
            assert field.description, f"{cls.__name__}.{name}"
