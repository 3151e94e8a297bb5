"""Learnt rates from the stage that learns them to the stage, the evaluation and the adaptation that go by them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from makers import plain_recipe

from metanlp.config.load import build_recipe, changed
from metanlp.data.types import Episode
from metanlp.evaluation import evaluate
from metanlp.run import Run
from metanlp.stacks import adapt_stack
from metanlp.training import meta_train


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_rates_go_with_the_weights_from_stage_to_stage(kind: str, collection: Path, tmp_path: Path) -> None:
    raw = plain_recipe(collection) | {"fast_weights": kind}
    train = raw["stages"]["meta"]["train"]
    raw["stages"] = {
        "start": {"algorithm": "joint", "train": train | {"support": 0}},
        "rates": {
            "after": "start",
            "algorithm": {"kind": "learned_rates", "inner_steps": 2},
            "train": train | {"learning_rate": 0.1, "save_every": 100},
        },
        "rest": {"after": "rates", "algorithm": "joint", "train": train | {"support": 0}},
    }
    recipe = build_recipe(raw)
    run = Run.open(meta_train(recipe, tmp_path / "run"))
    start, rates, rest = (run.at(stage).trained("cpu").learner for stage in recipe.stages)
    assert start.speeds() == {}
    assert all(torch.equal(weight, start.slow()[name]) for name, weight in rates.slow().items())
    assert any(not torch.equal(weight, start.slow()[name]) for name, weight in rest.slow().items())
    assert rest.speeds().keys() == rates.speeds().keys() == start.slow().keys()
    for name, speed in rates.speeds().items():
        rows, *others = start.slow()[name].shape
        assert speed.shape == (rows, *[1] * len(others))
        assert torch.equal(speed, rest.speeds()[name])
    assert len({round(float(speed), 4) for each in rates.speeds().values() for speed in each.flatten()}) > 2

    options = changed(recipe.evaluation, "stages=[start, rates, rest]", "shots=[0, 4]", subject="evaluation")
    found = {(each.stage, each.shots): each for each in evaluate(run, options=options).predicted if each.task == "c10"}
    kinds = {stage: each.algorithm for (stage, _), each in found.items()}
    assert kinds == {"start": "joint", "rates": "learned_rates", "rest": "learned_rates, joint"}
    assert found["rates", 0].predictions == found["start", 0].predictions  # the same start

    parts, adapting = run.at("rest").trained("cpu"), recipe.adapting
    episode = next(iter(parts.collection.split("test").only(["c10"])))

    episodes = [Episode(episode.name, episode.info, list(episode.examples[:4]), [], index=0)]
    speeds, slow = parts.learner.speeds(), parts.learner.slow()
    faster = adapt_stack(run.at("rest"), parts, episodes, adapting, 1, seed=0)
    for rate in parts.learner.rates.values():
        rate.data.zero_()
    plain = adapt_stack(run.at("rest"), parts, episodes, adapting, 1, seed=0)
    for name, weight in slow.items():  # the first step is the same but for its length
        torch.testing.assert_close(
            faster[name][0] - weight, speeds[name] * (plain[name][0] - weight), rtol=1e-3, atol=1e-6
        )
