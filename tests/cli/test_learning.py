"""Commands that learn and measure: train, adapt, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terminal import Metanlp, pairs, recipe_with


def test_train_says_what_comes_next(
    metanlp_: Metanlp, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = recipe_with(home, tmp_path / "mine.yaml", lambda raw: raw["stages"]["meta"]["train"].update(steps=1))
    done = metanlp_("train", mine.name)
    assert done.code == 0
    assert done.out.splitlines()[0] == "trained runs/mine"
    assert "metanlp evaluate runs/mine" in done.out
    assert "metanlp adapt runs/mine examples.tsv --name NAME" in done.out
    other = metanlp_("train", mine.name, "stages.meta.train.steps=2")
    assert other.code == 2
    assert "stages.meta.train.steps" in other.err
    assert "--out" in other.err


def test_adapt_prints_its_choice_and_what_it_left_out(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "new.tsv"
    rows = [*pairs(home, "test", "c9")[:12], "no tab here", "", "abc\t", "abc\tdef"]
    file.write_text("source\ttarget\n" + "\n".join(rows) + "\n")
    done = metanlp_("adapt", home / "runs" / "one", file, "--name", "nine")
    assert done.code == 0
    assert "adapted nine from 13 examples in " in done.out
    assert "steps: chrF on 9 held-out examples was " in done.out
    assert f"metanlp translate {home / 'runs' / 'one'} --adaptation nine" in done.out
    left = [line for line in done.err.splitlines() if line.startswith("left out ")]
    assert left[:2] == [f"left out {file}:14: missing column: no tab here", f"left out {file}:15: empty line: "]
    assert left[2].startswith(f"left out {file}:16: empty side: abc")
    assert len(left) == 3
    assert (home / "runs" / "one" / "meta" / "adaptations" / "nine" / "manifest.json").is_file()


def test_adapt_measures_on_queries_and_does_not_learn_from_them(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "marked.tsv"
    rows = [f"{row}\t{'query' if index % 2 else 'support'}" for index, row in enumerate(pairs(home, "test", "c9")[:10])]
    file.write_text("source\ttarget\tpool\n" + "\n".join(rows) + "\n")
    done = metanlp_("adapt", home / "runs" / "one", file, "--name", "half")
    assert "from 5 examples" in done.out
    assert "on 5 examples marked query, which it did not learn from: chrF " in done.out
    facts = json.loads((home / "runs" / "one" / "meta" / "adaptations" / "half" / "adaptation.json").read_text())
    assert facts["scores"]["chrF"]["examples"] == 5


def test_tune_prints_what_it_chose_and_keeps_it(metanlp_: Metanlp, home: Path) -> None:
    stage = home / "runs" / "two" / "start"
    options = ["--workers", "1", "--shots", "0,2", "--set", "queries=2"]
    done = metanlp_("tune", stage, *options, "--rates", "1e-3,0.01", "--steps", "1,2")
    assert done.code == 0
    told = json.loads((stage / "tuned.json").read_text())
    (choice,) = told["choices"]
    assert choice["shots"] == 2
    assert {(one["learning_rate"], one["steps"]) for one in choice["tried"]} == {
        (r, s) for r in (1e-3, 1e-2) for s in (1, 2)
    }
    assert done.out.splitlines()[1].split()[:4] == [
        "start",
        "2",
        f"{choice['best']['learning_rate']:g}",
        str(choice["best"]["steps"]),
    ]
    (stage / "tuned.json").unlink()
    for wrong in ("--rates=1e-3,fast", "--steps=0,1"):
        done = metanlp_("tune", stage, *options, wrong)
        assert done.code == 2
        assert "numbers above 0, separated by commas" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.tsv", "--name", "x"], "nowhere.tsv"),
        (["empty.tsv", "--name", "x"], "no examples"),
        (["one.tsv", "--name", "../x"], "cannot name an adaptation"),
        (["one.tsv"], "--name"),
        (["one.tsv", "--name", "x", "--info", "zul"], "--info takes KEY=VALUE"),
    ],
)
def test_adapt_refuses(metanlp_: Metanlp, home: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "one.tsv").write_text("source\ttarget\nabc\tdef\n")
    (tmp_path / "empty.tsv").write_text("source\ttarget\n")
    done = metanlp_("adapt", home / "runs" / "one", tmp_path / arguments[0], *arguments[1:])
    assert done.code == 2
    assert says in done.err


def test_evaluate_prints_tables_and_names_its_files(metanlp_: Metanlp, home: Path) -> None:
    one, two = home / "runs" / "one", home / "runs" / "two"
    done = metanlp_("evaluate", two, "--workers", "1", "--against", one, "--shots", "0,2", "--set", "queries=2")
    assert done.code == 0
    assert "chrF, mean over 2 test tasks of ciphers" in done.out
    assert "exact_match, mean over 2 test tasks" in done.out
    assert f"report:  {two / 'report' / 'report.html'}" in done.out
    rows = json.loads((two / "report" / "results.json").read_text())
    assert {(row["stage"], row["shots"]) for row in rows} == {(s, n) for s in ("meta", "one/meta") for n in (0, 2)}
    compared = json.loads((two / "report" / "comparisons.json").read_text())["comparisons"]
    assert {(each["stage"], each["baseline"]) for each in compared} == {("meta", "one/meta")}


def test_evaluating_one_stage_leaves_the_runs_report_alone(metanlp_: Metanlp, home: Path) -> None:
    two = home / "runs" / "two"
    options = ["--workers", "1", "--shots", "0", "--set", "queries=2", "--split", "valid"]
    done = metanlp_("evaluate", two / "start", *options)
    assert done.code == 0
    rows = json.loads((two / "start" / "report-valid" / "results.json").read_text())
    assert {row["stage"] for row in rows} == {"start"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "is not a run"),
        (["one", "--split", "tset"], "did you mean 'test'"),
        (["one", "--shots", "four"], "four"),
        (["one", "--set", "metrics=[bleu]"], "bleu"),
        (["one", "--set", "query=3"], "did you mean 'queries'"),
    ],
)
def test_evaluate_refuses(metanlp_: Metanlp, home: Path, arguments: list[str], says: str) -> None:
    done = metanlp_("evaluate", home / "runs" / arguments[0], "--workers", "1", *arguments[1:])
    assert done.code == 2
    assert says in done.err
