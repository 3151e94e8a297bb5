"""A run to talk with, made without data: a tiny random Llama, and adapters that nothing has prepared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from backbones.causal_models import save_causal

from metanlp.adaptation import FACTS, adaptation_folder
from metanlp.chat.lines import lines_of_text
from metanlp.chat.session import Session
from metanlp.checkpoint import Checkpoint, commit, save_checkpoint
from metanlp.config.load import build_recipe
from metanlp.config.yaml import write_yaml
from metanlp.run import Run
from metanlp.saving import save_weights
from metanlp.weights import Weights

NAMES = ["Anna", "Ben", "Chloé"]


def make_talker(folder: Path, *overrides: str) -> Path:
    raw: dict[str, Any] = {
        "task": {"kind": "dialogue", "collection": "nowhere"},
        "backbone": {"kind": "causal", "model": str(save_causal("llama", folder / "backbone")), "max_length": 128},
        "fast_weights": {"kind": "lora", "r": 2, "targets": ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]},
        "trackers": [],
        "stages": {"start": {"algorithm": "joint", "train": {"steps": 0}}},
        "adapting": {"steps": 3, "learning_rate": 0.1, "batch": 4},
    }
    recipe = build_recipe(raw, *overrides)
    write_yaml(folder / "recipe.yaml", recipe.dump())
    run = Run.open(folder)
    slow = run.build("cpu").learner.slow()
    save_checkpoint(run.checkpoints, Checkpoint({"slow": slow}, {"step": 0, "passes": 0, "seconds": 0.0}))
    return folder


def invent(folder: Path, *names: str) -> None:
    """Adaptations of the run in `folder`, of random weights."""
    run = Run.open(folder)
    parts = run.trained("cpu")
    for seed, name in enumerate(names):
        weights = invented(parts.learner.spread(1), seed)
        facts = {"name": name, "run_id": run.id, "task_info": {}, "examples": 1, "steps": 1, "choice": "invented"}

        def write(place: Path, weights: Weights = weights, facts: dict[str, Any] = facts) -> None:
            save_weights(place, run, parts, weights)
            (place / FACTS).write_text(json.dumps(facts))

        commit(adaptation_folder(run, name), write)


def invented(start: Weights, seed: int) -> Weights:
    """Random weights `(1, *shape)`: unlike ones learnt in a second, they write another thing for every text."""
    generator = torch.Generator().manual_seed(seed)
    return {name: weight + 0.2 * torch.randn(weight.shape, generator=generator) for name, weight in start.items()}


def taught(session: Session, name: str, text: str) -> None:
    teaching = session.teach(name, lines_of_text(text))
    assert teaching.wait(60)
    assert teaching.state == "ready", teaching.error


def said(session: Session, name: str, message: str = "hello", adapted: bool = True) -> str:
    session.reset(name)
    return "".join(session.reply(name, message, adapted))


def weights_of(session: Session, name: str) -> Weights:
    person = session.open(name)
    return {key: weight.clone() for key, weight in session._weights(person).items()}


def same(one: Weights, other: Weights) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)
