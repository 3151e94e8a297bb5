"""What tests of translating share: trained runs with adaptations."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import trained_by_kind

from metanlp.adaptation import FACTS, adaptation_folder
from metanlp.checkpoint import commit
from metanlp.run import Run
from metanlp.saving import save_weights

LINEARS = ["q_proj", "v_proj", "out_proj", "fc1", "fc2"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A trained run of each kind of fast weights, with three adaptations that write quite different things."""

    def change(raw: dict[str, Any], kind: str) -> None:
        raw["backbone"]["width"] = 32
        raw["fast_weights"] = {"kind": kind} if kind == "full" else {"kind": "lora", "targets": LINEARS}

    trained = trained_by_kind(tmp_path_factory.mktemp("runs"), change)

    @cache
    def run(kind: str) -> Path:
        folder = trained(kind)
        for seed, name in enumerate(("one", "two", "three")):
            invent(Run.open(folder), name, seed)
        return folder

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
