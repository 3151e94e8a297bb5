"""What tests of translating share: trained runs with adaptations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from makers import plain_recipe, write_collection

from metanlp.adaptation import FACTS, adaptation_folder
from metanlp.checkpoint import commit
from metanlp.config.load import build_recipe
from metanlp.run import Run
from metanlp.saving import save_weights
from metanlp.training import meta_train

LINEARS = ["q_proj", "v_proj", "out_proj", "fc1", "fc2"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A trained run of each kind of fast weights, with three adaptations that write quite different things."""
    home = tmp_path_factory.mktemp("runs")
    ciphers, made = write_collection(home / "ciphers"), {}

    def run(kind: str) -> Path:
        if kind not in made:
            raw = plain_recipe(ciphers)
            raw["backbone"]["width"] = 32
            raw["fast_weights"] = {"kind": kind} if kind == "full" else {"kind": "lora", "targets": LINEARS}
            made[kind] = meta_train(build_recipe(raw), home / kind)
            for seed, name in enumerate(("one", "two", "three")):
                invent(Run.open(made[kind]), name, seed)
        return made[kind]

    return run


def invent(run: Run, name: str, seed: int) -> None:
    """An adaptation of random weights: unlike ones learnt in a second, it writes another thing for every text."""
    parts, generator = run.trained("cpu"), torch.Generator().manual_seed(seed)
    weights = {
        each: weight + (0.3 if "encoder_attn" in each else 0.1) * torch.randn(weight.shape, generator=generator)
        for each, weight in parts.learner.spread(1).items()
    }
    facts = {"name": name, "run_id": run.id, "task_info": {}, "examples": 1, "steps": 1, "choice": "invented"}

    def write(place: Path) -> None:
        save_weights(place, run, parts, weights)
        (place / FACTS).write_text(json.dumps(facts))

    commit(adaptation_folder(run, name), write)
