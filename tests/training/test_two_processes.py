"""Two processes run the experiment of one, up to the order of sums."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from experiment import ROOT, STAGES, Server, final_weights, recipe_of

from metanlp.logbook import read_logbook

LAUNCHED = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
import metanlp.training as training
from metanlp.config.load import build_recipe
from metanlp.errors import Stopped

end_training = training.Accelerator.end_training
training.Accelerator.end_training = lambda self: None  # it parts the processes, which have more to do
ends = []
for job in json.load(open(sys.argv[1])):
    if job["stop_at"] and os.environ["RANK"] == "1":  # one rank alone is asked to stop
        encode, calls = training.encode_episodes, []
        def stopping(*arguments):
            calls.append(1)
            if len(calls) == job["stop_at"]:
                signal.raise_signal(signal.SIGTERM)
            return encode(*arguments)
        training.encode_episodes = stopping
    try:
        training.meta_train(build_recipe(job["recipe"]), job["folder"])
        ended = "done"
    except Stopped:
        ended = "stopped"
    if job["stop_at"] and os.environ["RANK"] == "1":
        training.encode_episodes = encode
    ends.append(ended)
end_training(training.Accelerator())
open(sys.argv[2] + os.environ["RANK"], "w").write(" ".join(ends))
"""


def test_two_processes_run_the_same_experiment(server: Server, ciphers: Path, unbroken, tmp_path: Path) -> None:
    """Up to the order of sums: full weights, LoRA with dropout, and a run that one rank alone was asked to stop."""
    jobs = [
        {"recipe": recipe_of(ciphers, "full"), "folder": str(tmp_path / "full"), "stop_at": 0},
        {"recipe": recipe_of(ciphers, "lora"), "folder": str(tmp_path / "lora"), "stop_at": 0},
        {"recipe": recipe_of(ciphers, "full"), "folder": str(tmp_path / "stopped"), "stop_at": 4},
        {"recipe": recipe_of(ciphers, "full"), "folder": str(tmp_path / "stopped"), "stop_at": 0},
    ]
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    (tmp_path / "driver.py").write_text(LAUNCHED)
    launch(tmp_path)
    assert [(tmp_path / f"ended.{rank}").read_text() for rank in (0, 1)] == ["done done stopped done"] * 2
    for name, kind in (("full", "full"), ("lora", "lora"), ("stopped", "full")):
        found, wanted = final_weights(tmp_path / name), final_weights(unbroken(kind))
        assert found.keys() == wanted.keys()
        for key in wanted:
            # softmax does not see a key's bias: its gradient is rounding, which Adam divides by itself
            if "/slow/" in key and "k_proj.bias" not in key:
                torch.testing.assert_close(
                    found[key], wanted[key], rtol=0, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}"
                )
        for stage in STAGES:
            lines = read_logbook(tmp_path / name / stage / "metrics.jsonl")
            others = read_logbook(unbroken(kind) / stage / "metrics.jsonl")
            assert [(line["step"], line["passes"]) for line in lines] == [
                (line["step"], line["passes"]) for line in others
            ]
            for line, other in zip(lines, others, strict=True):
                assert line["loss"] == pytest.approx(
                    other["loss"], abs=1e-5
                )  # additions in another order, some steps long
                assert line["norm"] == pytest.approx(other["norm"], rel=1e-5)


def launch(folder: Path) -> None:
    """As `torchrun` does; `accelerate launch --cpu --num_processes 2` starts one process on a single machine."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(folder / "driver.py"), str(folder / "jobs.json"), str(folder / "ended.")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
