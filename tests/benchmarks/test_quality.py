"""The harness that holds meta-training against joint training, on a recipe that trains in a second."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
import quality
import yaml
from makers import plain_recipe
from small_collections import write_people

from metanlp.errors import UserError


@pytest.fixture
def compare(collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., str]:
    raw = plain_recipe(collection)
    train = raw["stages"]["meta"]["train"]
    raw["stages"] = {"joint": {"algorithm": "joint", "train": train | {"support": 0}}, "meta": raw["stages"]["meta"]}
    raw["evaluation"] |= {"stages": ["joint", "meta"], "metrics": ["chrF", "exact_match"]}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(tmp_path)

    def run(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["quality.py", "small.yaml", "--workers", "1", *options])
        quality.main()
        return capsys.readouterr().out

    return run


def test_it_measures_every_number_of_steps_once_and_says_what_that_means(compare, tmp_path: Path) -> None:
    options = ["--steps", "1,3", "--shots", "2,4", "--seeds", "0,1", "--rates", "1e-2,3e-2"]
    first = compare(*options)
    home = tmp_path / "runs/quality-small"
    assert (home / "steps.png").read_bytes()[:4] == b"\x89PNG"
    files = sorted(home.glob("seed-*/quality/shots-*/results.json"))
    assert [str(path.relative_to(home).parent) for path in files] == [
        f"seed-{seed}/quality/shots-{shots}-steps-{steps}" for seed in (0, 1) for shots in (2, 4) for steps in (1, 3)
    ]
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*.json")}
    again = compare(*options)
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*.json")} == before
    assert again in first  # what is printed besides is the progress
    assert (home / "table.md").read_text() == again.removesuffix("\n")

    scores: dict[tuple[int, str], list[float]] = {}  # steps, stage -> of both tasks and seeds at 4 shots
    chosen: dict[tuple[int, str], list[float]] = {}  # the same of validation tasks: one mean for each seed
    for path in files:
        shots, steps = (int(count) for count in path.parent.name.split("-")[1::2])
        for row in json.loads(path.read_text()):
            assert row["shots"] == shots
            if row["task"] and shots == 4 and row["metric"] == "chrF":
                scores.setdefault((steps, row["stage"]), []).append(row["value"])
        for stage, (choice,) in json.loads((path.parent / "measured.json").read_text())["choices"].items():
            assert (choice["shots"], choice["best"]["steps"]) == (shots, steps)
            if shots == 4:
                chosen.setdefault((steps, stage), []).append(choice["best"]["value"])
    means = {key: fmean(values) for key, values in scores.items()}
    for (steps, stage), mean in means.items():  # of chrF, whose table is the first
        told = f"{steps} step{'s' if steps > 1 else ''}"
        row = next(line for line in again.splitlines() if line.startswith(f"| {stage}, {told} |"))
        assert row.split("|")[3].split()[0] == f"{mean:.1f}"
    assert {len(values) for values in scores.values()} == {4}
    best = {stage: max((1, 3), key=lambda steps: fmean(chosen[steps, stage])) for stage in ("joint", "meta")}
    gain = means[best["meta"], "meta"] - means[best["joint"], "joint"]
    (line,) = [line for line in again.splitlines() if line.strip().startswith("4 shots: meta")]
    assert f"meta after {best['meta']} steps - joint after {best['joint']}: {gain:+.1f} [" in line
    reached = [steps for steps in (1, 3) if means[steps, "meta"] >= means[3, "joint"]]
    assert line.endswith(f"in {reached[0]} steps" if reached else "never")
    assert not list(home.rglob("tuned.json"))  # what was chosen for 3 steps is not for everybody


def test_what_was_measured_otherwise_is_measured_anew(compare, tmp_path: Path) -> None:
    once = ["--steps", "1", "--shots", "2", "--seeds", "0", "--rates", "1e-2"]
    compare(*once)
    (path,) = tmp_path.glob("runs/quality-small/seed-0/quality/shots-2-steps-1/measured.json")
    written = [path.stat().st_mtime_ns]
    for other in (["--rates", "3e-2"], ["adapting.batch=2"], ["--tuning-tasks", "2"], ["evaluation.queries=3"]):
        compare(*once, *other)
        written.append(path.stat().st_mtime_ns)
        compare(*once, *other)
        assert path.stat().st_mtime_ns == written[-1]
    assert written == sorted(set(written))


def test_more_shots_steps_and_seeds_cost_only_what_is_new(compare, tmp_path: Path) -> None:
    once = ["--rates", "1e-2", "--steps", "1", "--shots", "2", "--seeds", "0"]
    compare(*once)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("measured.json")}
    assert len(before) == 2  # without examples, and with two
    compare(*once, "--steps", "1,2", "--shots", "2,4", "--seeds", "0,1")
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("measured.json")}
    assert len(after) == 10
    assert {path: after[path] for path in before} == before


def test_examples_in_the_prompt_are_measured_once_beside_every_number_of_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    talks = write_people(tmp_path / "people", 3)
    raw = plain_recipe(talks)
    raw["task"] = {"kind": "dialogue", "collection": str(talks)}
    raw["backbone"] = {
        "kind": "tiny_causal",
        "pieces": "char",
        "vocabulary": 300,
        "width": 16,
        "heads": 2,
        "feed_forward": 16,
    }
    raw["backbone"] |= {"layers": 1, "max_length": 200}
    raw["stages"]["joint"] = {"algorithm": "joint", "train": raw["stages"]["meta"]["train"] | {"support": 0}}
    raw["evaluation"] |= {"stages": ["joint", "meta"], "metrics": ["perplexity"], "prompting": ["fit", "persona"]}
    (tmp_path / "talks.yaml").write_text(yaml.safe_dump(raw))
    monkeypatch.chdir(tmp_path)
    asked = ["talks.yaml", "--workers", "1", "--seeds", "0", "--shots", "1,2", "--rates", "1e-2", "--steps"]
    monkeypatch.setattr(sys, "argv", ["quality.py", *asked, "1"])
    quality.main()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("measured.json")}
    assert {path.parent.name for path in before if "prompted" in path.parent.name} == {
        "shots-0-prompted",
        "shots-1-prompted",
        "shots-2-prompted",
    }
    monkeypatch.setattr(sys, "argv", ["quality.py", *asked, "1,2"])
    quality.main()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    told = (tmp_path / "runs/quality-talks/table.md").read_text()
    for way in ("fit", "persona"):
        (line,) = [line for line in told.splitlines() if line.startswith(f"| zero-shot prompted ({way}) |")]
        values = [cell.strip() for cell in line.split("|")[2:4]]  # at either number of shots
        assert all(float(value) > 1 for value in values)
        assert (values[0] == values[1]) == (way == "persona")
    details = (tmp_path / "runs/quality-talks/details.txt").read_text()
    assert details.count("\nzero-shot prompted (fit)   ") == 2  # beside 1 step and beside 2 steps


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--shots", "999"], "no task of the split valid has enough examples for 999 shots"),
        (["evaluation.stages=[joint]"], "name the baseline and, after it"),
        (["evaluation.prompting=[persona]"], "needs persona sentences"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_is_trained(
    compare, tmp_path: Path, option: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        compare("--steps", "1", *option)
    assert not (tmp_path / "runs").exists()
