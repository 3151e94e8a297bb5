"""Checkpoints are whole or not there, whatever happens while they are written or afterwards."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metanlp.checkpoint as checkpoint_module
from metanlp.checkpoint import Checkpoint, commit, latest_checkpoint, require_verified, save_checkpoint, verified
from metanlp.errors import UserError


def made(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    draw = {name: torch.randn(3, 4, generator=generator) for name in ("b", "a", "c.d|e")}
    return Checkpoint(
        {"slow": draw, "optimizer": {"a|step": torch.tensor(float(step))}}, {"step": step, "passes": 2 * step}
    )


def assert_same(found: Checkpoint | None, wanted: Checkpoint) -> None:
    assert found is not None
    assert found.state == wanted.state
    assert found.tensors.keys() == wanted.tensors.keys()
    for group, tensors in wanted.tensors.items():
        assert found.tensors[group].keys() == tensors.keys()
        assert all(torch.equal(found.tensors[group][name], tensor) for name, tensor in tensors.items())


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    place = save_checkpoint(tmp_path, made(7))
    assert place == tmp_path / "step-00000007"
    assert_same(latest_checkpoint(tmp_path), made(7))


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 100, 101):
        save_checkpoint(tmp_path, made(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000100", "step-00000101"]
    assert_same(latest_checkpoint(tmp_path), made(101))


@given(which=st.integers(0, 3), at=st.floats(0, 1), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_is_noticed(which: int, at: float, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    save_checkpoint(folder, made(1))
    place = save_checkpoint(folder, made(2))
    path = sorted(place.iterdir())[which]
    content = bytearray(path.read_bytes())
    content[min(int(at * len(content)), len(content) - 1)] ^= 1 << bit
    path.write_bytes(content)
    assert not verified(place)
    assert_same(latest_checkpoint(folder), made(1))
    with pytest.raises(UserError, match="was altered since it was saved"):
        require_verified(place)


@pytest.mark.parametrize("name", ["slow.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("how", ["gone", "short", "empty"])
def test_torn_ones_are_passed_over(name: str, how: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, made(1))
    path = save_checkpoint(tmp_path, made(2)) / name
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-3] if how == "short" else b"")
    assert_same(latest_checkpoint(tmp_path), made(1))


def test_an_empty_manifest_verifies_nothing(tmp_path: Path) -> None:
    place = save_checkpoint(tmp_path, made(1))
    (place / "manifest.json").write_text("{}")
    assert not verified(place)
    assert latest_checkpoint(tmp_path) is None


def test_an_exception_while_writing_leaves_the_old_one(tmp_path: Path) -> None:
    def write(text: str, fail: bool) -> None:
        def fill(place: Path) -> None:
            (place / "file").write_text(text)
            if fail:
                raise OSError("disk full")

        commit(tmp_path / "thing", fill)

    write("old", fail=False)
    with pytest.raises(OSError, match="disk full"):
        write("new", fail=True)
    assert (tmp_path / "thing" / "file").read_text() == "old"
    assert verified(tmp_path / "thing")
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]
    write("new", fail=False)
    assert (tmp_path / "thing" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]


@pytest.mark.parametrize("call", range(1, 12))
def test_wherever_a_save_breaks_off_a_whole_checkpoint_is_there(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th sync, rename or removal never happens, as if the power had failed."""
    save_checkpoint(tmp_path, made(1))

    class PowerFailure(BaseException):
        pass

    calls = [0]

    def counting(function):
        def step(*arguments, **options):
            calls[0] += 1
            if calls[0] >= call:
                raise PowerFailure
            return function(*arguments, **options)

        return step

    monkeypatch.setattr(checkpoint_module, "_sync", counting(checkpoint_module._sync))
    monkeypatch.setattr(Path, "rename", counting(Path.rename))
    monkeypatch.setattr(checkpoint_module.shutil, "rmtree", counting(checkpoint_module.shutil.rmtree))
    try:
        save_checkpoint(tmp_path, made(2))
        survived = True
    except PowerFailure:
        survived = False
    monkeypatch.undo()
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert_same(found, made(found.state["step"]))
    if survived:
        assert found.state["step"] == 2
    save_checkpoint(tmp_path, made(2))
    assert_same(latest_checkpoint(tmp_path), made(2))


def test_folders_of_files_are_hashed_through(tmp_path: Path) -> None:
    def fill(place: Path) -> None:
        (place / "inner").mkdir()
        (place / "inner" / "file").write_text("x")

    place = commit(tmp_path / "thing", fill)
    assert verified(place)
    (place / "inner" / "file").write_text("y")
    assert not verified(place)


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    node = os.uname().nodename
    gone = [f".step-00000001.{node}.{dead.pid}.tmp", f".model.{node}.{dead.pid}.old", ".step-00000001.elsewhere.9.tmp"]
    living = f".step-00000002.{node}.{os.getppid()}.tmp"
    kept = [living, ".step-00000003.elsewhere.8.tmp", ".hidden", "plain.tmp", "model"]
    for name in [*gone, *kept]:
        (tmp_path / name).mkdir()
    old = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / gone[2], (old, old))
    save_checkpoint(tmp_path, made(5))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "step-00000005"])


def test_what_stood_there_comes_back_after_a_kill_between_two_renames(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone = tmp_path / f".model.{os.uname().nodename}.{dead.pid}.old"
    gone.mkdir()
    (gone / "weights").write_text("precious")
    save_checkpoint(tmp_path, made(5))
    assert (tmp_path / "model" / "weights").read_text() == "precious"
    assert not gone.exists()


def test_files_are_the_same_whatever_the_order_of_names(tmp_path: Path) -> None:
    one = made(1)
    names = list(one.tensors["slow"])
    random.Random(0).shuffle(names)
    other = Checkpoint({**one.tensors, "slow": {name: one.tensors["slow"][name] for name in names}}, one.state)
    first, second = save_checkpoint(tmp_path / "a", one), save_checkpoint(tmp_path / "b", other)
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()
