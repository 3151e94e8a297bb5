"""What training leaves alone, refuses to begin, or stops before it spoils anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiment import REFUSED, Server, recipe_of
from safetensors.torch import load_file

from metanlp.config.load import build_recipe


def test_a_finished_run_is_left_as_it_is(server: Server, ciphers: Path, unbroken) -> None:
    folder = unbroken("full")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert server.train(recipe_of(ciphers, "full"), folder) == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_another_recipe_in_the_same_folder_is_refused(server: Server, ciphers: Path, unbroken) -> None:
    folder, recipe = unbroken("full"), recipe_of(ciphers, "full")
    recipe["stages"]["meta"]["train"]["steps"] = 9
    recipe["seed"] = 3
    assert server.train(recipe, folder) == REFUSED
    said = (folder / "refused.txt").read_text()
    (folder / "refused.txt").unlink()
    assert "stages.meta.train.steps" in said
    assert "seed" in said
    assert "choose another" in said
    assert "start" not in said.replace(str(folder), "")


def test_training_that_bursts_is_stopped_before_it_spoils_the_weights(
    server: Server, ciphers: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(ciphers, "full")
    recipe["stages"]["start"]["train"].update(learning_rate=1e30, decay="none", clip=None)
    assert server.train(recipe, tmp_path / "run") == REFUSED
    said = (tmp_path / "run" / "refused.txt").read_text()
    assert "stage 'start', step 2" in said
    assert "lower train.learning_rate" in said
    weights = load_file(tmp_path / "run" / "start" / "checkpoints" / "step-00000001" / "slow.safetensors")
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_processes_that_do_not_know_each_other_do_not_train(
    ciphers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    import metanlp.training as training

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(training, "Accelerator", lambda **options: SimpleNamespace(num_processes=1))
    with pytest.raises(RuntimeError, match="2 processes were launched, but Accelerate joined 1"):
        training.meta_train(build_recipe(recipe_of(ciphers, "full")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
