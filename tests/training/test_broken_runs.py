"""Training that was killed, stopped or damaged on disk ends with the bits of a run that was not."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from experiment import STAGES, STOPPED, Server, assert_same_run, recipe_of

from metanlp.checkpoint import verified
from metanlp.config.load import build_recipe
from metanlp.errors import UserError
from metanlp.logbook import read_logbook
from metanlp.run import Run


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_kills_in_the_midst_of_saving_change_no_bit(
    kind: str, server: Server, ciphers: Path, unbroken, tmp_path: Path
) -> None:
    """Chained: each run goes on from what the one killed before it left."""
    draw, folder, statuses = random.Random(kind), tmp_path / "run", []
    for _ in range(8):
        statuses.append(server.train(recipe_of(ciphers, kind), folder, die_at=draw.randint(1, 25)))
    if statuses[-1] != 0:
        statuses.append(server.train(recipe_of(ciphers, kind), folder))
    assert statuses[-1] == 0
    assert statuses.count(-signal.SIGKILL) >= 4
    assert_same_run(folder, unbroken(kind))


def test_kills_at_any_moment_change_no_bit(server: Server, ciphers: Path, unbroken, tmp_path: Path) -> None:
    folder, wanted = tmp_path / "run", unbroken("full")
    began = time.monotonic()
    assert server.train(recipe_of(ciphers, "full"), tmp_path / "timed") == 0
    seconds = time.monotonic() - began
    draw, killed, status = random.Random(5), 0, 1
    for attempt in range(14):
        child = server.start(recipe_of(ciphers, "full"), folder)
        if attempt < 8:
            time.sleep(draw.uniform(0.1, 0.4) * seconds)
            os.kill(child, signal.SIGKILL) if _alive(child) else None
        status = server.end()
        killed += status == -signal.SIGKILL
        if status == 0:
            break
    assert status == 0
    assert killed >= 2
    assert_same_run(folder, wanted)


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_sigterm_stops_with_everything_saved(server: Server, ciphers: Path, unbroken, tmp_path: Path) -> None:
    folder, wanted = tmp_path / "run", unbroken("full")
    recipe = recipe_of(ciphers, "full")
    child = server.start(recipe, folder)
    log = folder / "start" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") >= 2) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child, signal.SIGTERM)
    assert server.end() == STOPPED
    stage = "meta" if (folder / "meta" / "metrics.jsonl").exists() else "start"
    done = read_logbook(folder / stage / "metrics.jsonl")[-1]["step"]
    assert verified(folder / stage / "checkpoints" / f"step-{done:08d}")
    assert not Run.open(folder).finished()
    assert server.train(recipe, folder) == 0
    assert_same_run(folder, wanted)


def test_a_flipped_bit_is_passed_over(server: Server, ciphers: Path, unbroken, tmp_path: Path) -> None:
    """The newest checkpoint was altered on disk: training goes on from the one before it, to the same end."""
    folder = tmp_path / "run"
    shutil.copytree(unbroken("full"), folder)
    newest = folder / "meta" / "checkpoints" / "step-00000006" / "slow.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    shutil.rmtree(folder / "meta" / "model")
    with pytest.raises(UserError, match="metanlp train"):
        Run.open(folder).trained("cpu")
    assert server.train(recipe_of(ciphers, "full"), folder) == 0
    assert_same_run(folder, unbroken("full"))


def test_a_missing_export_is_made_again(server: Server, ciphers: Path, unbroken, tmp_path: Path) -> None:
    """As a kill between the last checkpoint and the export leaves it."""
    folder = tmp_path / "run"
    shutil.copytree(unbroken("full"), folder)
    for stage in STAGES:
        shutil.rmtree(folder / stage / "model")
    assert server.train(recipe_of(ciphers, "full"), folder) == 0
    assert_same_run(folder, unbroken("full"))


def test_a_recipe_half_written_when_killed_does_not_stick(
    ciphers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = build_recipe(recipe_of(ciphers, "full")), tmp_path / "run"

    class Killed(BaseException):
        pass

    write = Path.write_text

    def half(self: Path, text: str, *args: Any, **options: Any) -> int:
        write(self, text[: len(text) // 2], *args, **options)
        raise Killed

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(Killed):
        Run.create(recipe, folder)
    monkeypatch.undo()
    assert Run.create(recipe, folder).recipe == recipe
    assert Run.open(folder).recipe == recipe
