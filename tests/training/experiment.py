"""An experiment in three stages: its recipe, a process that runs it, and whether two runs of it are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from makers import plain_recipe
from safetensors.torch import load_file

from metanlp.checkpoint import verified
from metanlp.logbook import read_logbook
from metanlp.run import Run

ROOT = Path(__file__).parents[2]
STAGES = {
    "start": {
        "algorithm": "joint",
        "train": {
            "steps": 5,
            "meta_batch": 4,
            "support": 0,
            "query": 2,
            "log_every": 1,
            "save_every": 1,
            "share": [0, 0.5],
        },
    },
    "rates": {
        "after": "start",
        "algorithm": {"kind": "learned_rates", "inner_steps": 2},
        "train": {
            "steps": 3,
            "meta_batch": 4,
            "support": 4,
            "query": 2,
            "log_every": 1,
            "save_every": 1,
            "tasks_per_stack": None,
        },
    },
    "meta": {
        "after": "rates",
        "algorithm": {"kind": "fomaml", "inner_steps": 2},
        "train": {
            "steps": 6,
            "meta_batch": 4,
            "support": 4,
            "query": 2,
            "log_every": 1,
            "save_every": 2,
            "tasks_per_stack": None,
        },
    },
}
STOPPED, REFUSED = 43, 42


class Server:
    """`train_server.py` in a process of its own."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("train_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def start(self, recipe: dict, folder: Path, die_at: int = 0) -> int:
        """The process id of the child that trains."""
        folder.mkdir(exist_ok=True)
        job = {"recipe": recipe, "folder": str(folder), "die_at": die_at}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """The exit status of that child, negative for a signal."""
        return int(self.process.stdout.readline())

    def train(self, recipe: dict, folder: Path, die_at: int = 0) -> int:
        self.start(recipe, folder, die_at)
        return self.end()


def recipe_of(ciphers: Path, kind: str) -> dict[str, Any]:
    raw = plain_recipe(ciphers)
    raw["stages"] = json.loads(json.dumps(STAGES))
    raw["fast_weights"] = {"full": "full", "lora": {"kind": "lora", "r": 2}}[kind]
    if kind == "lora":
        raw["backbone"]["dropout"] = 0.2
        raw["stages"]["rates"]["train"]["tasks_per_stack"] = 2
        raw["stages"]["meta"]["train"]["tasks_per_stack"] = 2
        raw["stages"]["start"]["train"]["tasks_per_stack"] = 3
    return raw


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    run = Run.open(folder)
    return {
        f"{stage}/{group}/{name}": tensor
        for stage, options in run.recipe.stages.items()
        for group in ("slow", "optimizer")
        for name, tensor in load_file(
            run.at(stage).checkpoints / f"step-{options.train.steps:08d}" / f"{group}.safetensors"
        ).items()
    }


def assert_same_run(found: Path, wanted: Path) -> None:
    """Bit for bit: weights, moments and measured numbers; whole exports; nothing left behind."""
    first, second = final_weights(found), final_weights(wanted)
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different
    for stage in STAGES:
        assert verified(found / stage / "model")
        lines, others = read_logbook(found / stage / "metrics.jsonl"), read_logbook(wanted / stage / "metrics.jsonl")
        assert [line["step"] for line in lines] == list(range(1, len(others) + 1))
        for line, other in zip(lines, others, strict=True):
            assert {**line, "seconds": 0} == {**other, "seconds": 0}
    assert not [path for path in found.rglob("*") if ".tmp" in path.name or ".old" in path.name]
