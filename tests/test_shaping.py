"""Which changes of a recipe a begun run bears."""

from __future__ import annotations

from pathlib import Path

import pytest
from makers import plain_recipe

from metanlp.config import Recipe
from metanlp.config.load import build_recipe
from metanlp.shaping import begun, other_shapes

JOINT = {"algorithm": "joint", "train": {"steps": 2}}


def recipe(*overrides: str) -> Recipe:
    raw = plain_recipe(Path("nowhere"))
    return build_recipe({**raw, "stages": {"first": JOINT, "second": {**JOINT, "after": "first"}}}, *overrides)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """In which the first stage has been trained for a step, and the second was prepared."""
    (tmp_path / "first/checkpoints/step-00000001").mkdir(parents=True)
    (tmp_path / "second/checkpoints").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ([], []),
        (["adapting.steps=9", "evaluation.queries=3", "trackers=[tensorboard]", "stages.first.adapting.steps=9"], []),
        (["stages.second.train.steps=5", "stages.second.algorithm=reptile"], []),
        (["seed=4", "stages.first.train.steps=5", "adapting.steps=9"], ["seed", "stages.first.train.steps"]),
        (["stages={second: {algorithm: joint}}"], ["stages.first"]),
    ],
)
def test_what_would_have_made_other_weights(changes: list[str], fields: list[str], folder: Path) -> None:
    assert other_shapes(recipe(), recipe(*changes), folder) == fields


def test_only_what_has_begun_has_shaped_something(folder: Path, tmp_path: Path) -> None:
    assert begun(recipe(), folder) == ["first"]
    assert begun(recipe(), tmp_path / "new") == []
    assert other_shapes(recipe(), recipe("stages.first.train.steps=5"), tmp_path / "new") == []
