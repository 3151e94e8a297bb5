"""Every shipped recipe says how it is run, compares at equal computing, and works from end to end."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from backbones.causal_models import save_causal
from backbones.real_formats import e5, mt5, nllb
from small_collections import CODES, write_people, write_tasks

from metanlp.config.load import load_recipe, recipe_names, recipes_folder
from metanlp.config.recipe import Recipe
from metanlp.evaluation import evaluate
from metanlp.results import OF_OTHERS, PROMPTED
from metanlp.run import Run
from metanlp.training import meta_train

ROOT = Path(__file__).parents[1]
everyone = pytest.mark.parametrize("name", recipe_names())
STAND_INS: dict[str, Any] = {"facebook/nllb-200-distilled-600M": nllb, "google/mt5-small": mt5, "backbones/e5": e5}
STAND_INS |= {
    "HuggingFaceTB/SmolLM2-135M-Instruct": partial(save_causal, "llama"),
    "Qwen/Qwen3-0.6B": partial(save_causal, "qwen3"),
}


def test_the_promised_recipes_are_there() -> None:
    promised = {"demo/numbers", "translation/catalogs_tiny_fomaml", "translation/tatoeba_tiny_fomaml"}
    promised |= {"translation/nllb_lora_fomaml", "translation/mt5_lora_fomaml", "debug/numbers"}
    promised |= {"translation/tatoeba_e5_lora_fomaml", "debug/dialogue"}
    promised |= {"dialogue/chitchat_smollm2_lora_fomaml", "dialogue/qwen_lora_fomaml"}
    promised |= {"dialogue/xpersona_smollm2_lora_fomaml"}
    assert promised <= set(recipe_names())


@everyone
def test_it_opens_with_the_command_that_runs_it_and_what_it_is_for(name: str) -> None:
    first, second, *_ = (recipes_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    commands = ("metanlp train", "accelerate launch -m metanlp train", "python benchmarks/quality.py")
    assert first in [f"# {command} {name}" for command in commands]
    assert re.fullmatch(r'# [\w"].{20,}\.', second), second


@everyone
def test_its_name_says_what_it_is(name: str) -> None:
    """recipes/<family>/<backbone>_<fast weights>_<algorithm>.yaml; demo, debug and quality are families of their own."""
    recipe = load_recipe(name)
    family, _, what = name.partition("/")
    if family in ("demo", "debug", "quality"):
        return
    assert family == recipe.task.kind
    assert what.endswith(f"_{recipe.stages[recipe.result].algorithm.kind}")
    assert ("_lora_" in what) == (recipe.fast_weights.kind == "lora")
    assert ("_tiny_" in what) == (recipe.backbone.kind == "tiny")


@everyone
def test_the_command_it_names_makes_its_data(name: str) -> None:
    task = load_recipe(name).task
    script, out = re.fullmatch(
        r"python (data_scripts/\w+\.py) .*--out (\S+)", task.made_by.replace(" --out", "  --out")
    ).groups()
    assert (ROOT / script).is_file()
    assert out == task.collection


@everyone
def test_stages_that_are_compared_cost_the_same(name: str) -> None:
    recipe = load_recipe(name)

    def passes(stage: str) -> int:
        options = recipe.stages[stage]
        train = options.train
        own = train.steps * train.meta_batch * (train.support + train.query)
        return own + (passes(options.after) if options.after else 0)

    trained = [
        stage for stage in recipe.evaluation.stages if recipe.stages[stage].train.steps
    ]  # else nothing has prepared it
    costs = {stage: passes(stage) for stage in trained}
    assert len(set(costs.values())) <= 1, costs


WRITERS = {"translation": write_tasks, "dialogue": write_people}


def small(name: str, tmp_path: Path) -> Recipe:
    """The recipe on a small collection, with a small backbone of the same class, one step a stage."""
    recipe = load_recipe(name)
    changes = [
        f"task.collection={WRITERS[recipe.task.kind](tmp_path / 'tasks', max(recipe.evaluation.shots) + 4)}",
        "trackers=[]",
        "adapting.steps=2",
        "evaluation.queries=2",
        "evaluation.max_new_tokens=4",
        *(f"stages.{stage}.train.steps=1" for stage in recipe.stages),
        *(f"stages.{stage}.train.meta_batch=2" for stage in recipe.stages),
    ]
    backbone = recipe.backbone
    if backbone.made:
        changes += ["backbone.vocabulary=300", "backbone.width=16", "backbone.heads=2", "backbone.feed_forward=16"]
    for field in {"model", "encoder"} & set(type(backbone).model_fields):
        folder = tmp_path / field
        folder.mkdir()
        STAND_INS[getattr(backbone, field)](folder)
        changes.append(f"backbone.{field}={folder}")
    return load_recipe(name, *changes)


@everyone
def test_it_trains_and_is_measured(name: str, tmp_path: Path) -> None:
    recipe = small(name, tmp_path)
    run = Run.open(meta_train(recipe, tmp_path / "run"))
    weights: dict[str, dict[str, Any]] = {}
    for stage in recipe.stages:
        assert run.at(stage).finished()
        learner = run.at(stage).trained("cpu").learner
        learnt = {**learner.slow(), **{f"rate of {key}": rate.detach() for key, rate in learner.rates.items()}}
        weights[stage] = {key: tensor.clone() for key, tensor in learnt.items()}
    for stage, options in recipe.stages.items():
        if options.after != recipe.base_of(stage):
            before = weights[options.after]
            assert any(
                key not in before or not torch.equal(tensor, before[key]) for key, tensor in weights[stage].items()
            )
    results = evaluate(run, options=recipe.evaluation)
    assert {row.task for row in results.rows} == {None, CODES[-1][:3]}
    asked = recipe.evaluation
    assert results.stages() == [
        *(asked.stages or [recipe.result]),
        *(f"{PROMPTED} ({way})" for way in asked.prompting),
    ]
    assert results.metrics() == [*asked.metrics, *([OF_OTHERS] if asked.others else [])]
    assert results.shots() == recipe.evaluation.shots
