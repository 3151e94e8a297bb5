"""Training: killed, stopped, resumed and on two processes, always the same experiment to the same bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import plain_recipe, write_collection
from safetensors.torch import load_file

from metanlp.checkpoint import verified
from metanlp.config.load import build_recipe
from metanlp.errors import UserError
from metanlp.logbook import read_logbook
from metanlp.run import Run

HERE = Path(__file__).parent
STOPPED, REFUSED = 43, 42
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


class Server:
    """`train_server.py` in a process of its own."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "train_server.py")],
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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def ciphers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("data") / "ciphers")


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


@pytest.fixture(scope="module")
def unbroken(server: Server, ciphers: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def run(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind) / "unbroken"
            assert server.train(recipe_of(ciphers, kind), made[kind]) == 0
        return made[kind]

    return run


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
    done = max(line["step"] for stage in STAGES for line in read_logbook(folder / stage / "metrics.jsonl"))
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
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(folder / "driver.py"), str(folder / "jobs.json"), str(folder / "ended.")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
