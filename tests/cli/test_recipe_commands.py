"""Commands about recipes: recipes, show, copy, check."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from makers import write_collection
from terminal import Metanlp, pairs, recipe_with, tasks

from metanlp.config.load import recipe_names


def test_recipes_lists_each_with_what_it_is_for(metanlp_: Metanlp) -> None:
    lines = metanlp_("recipes").out.splitlines()
    assert [line.split()[0] for line in lines] == recipe_names()
    assert all(len(line.split()) > 4 for line in lines)


def test_show_takes_overrides(metanlp_: Metanlp) -> None:
    assert "steps: 7 " in metanlp_("show", "debug/numbers", "stages.meta.train.steps=7").out
    wrong = metanlp_("show", "debug/numbers", "stages.meta.train.step=7", "sed=1")
    assert wrong.code == 2
    assert "2 problems" in wrong.err


def test_copy_starts_a_recipe_whose_first_line_runs_it(metanlp_: Metanlp, tmp_path: Path) -> None:
    mine = tmp_path / "new" / "mine.yaml"
    assert metanlp_("copy", "debug/numbers", mine).code == 0
    assert mine.read_text().splitlines()[0] == f"# metanlp train {mine}"
    assert metanlp_("show", mine).out == metanlp_("show", "debug/numbers").out
    again = metanlp_("copy", "debug/numbers", mine)
    assert again.code == 2
    assert "exists already" in again.err
    assert metanlp_("copy", "debug/numbers", tmp_path / "mine.txt").code == 2
    assert metanlp_("copy", "debug/number", tmp_path / "other.yaml").code == 2
    assert not (tmp_path / "other.yaml").exists()


def test_check_finds_nothing_in_a_sound_recipe(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("check", home / "ciphers.yaml")
    assert done.code == 0
    assert done.err == ""
    assert done.out.splitlines()[-1] == "no problems found"
    sizes = [len(pairs(home, "train", f"c{key}")) for key in (1, 2, 3, 5, 6, 7)]
    assert f"train      6 tasks,        {sum(sizes)} examples, {min(sizes)} to {max(sizes)} a task" in done.out
    assert f"left out: {240 + 80 + 80 - sum(len(pairs(home, *t)) for t in tasks(home))} duplicate" in done.out
    assert "1 stage, meta" in done.out
    assert "0.00% unknown" in done.out
    assert re.search(r"^stage meta: 0\.\d\dM fast weights \(full\), 96 passes", done.out, re.M)
    assert not (home / "runs" / "ciphers").exists()


def test_check_tells_all_problems_at_once(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["evaluation"]["shots"] = [0, 64]
        raw["stages"]["meta"]["train"]["share"] = [0, 0.01]

    done = metanlp_("check", recipe_with(home, tmp_path / "wrong.yaml", change))
    assert done.code == 2
    assert done.out == ""
    assert "3 problems" in done.err
    assert "stages.meta: the split train has no tasks" in done.err
    for split in ("valid", "test"):
        most = max(len(pairs(home, split, task)) for found, task in tasks(home) if found == split) - 1
        says = f"no task of the split {split} has enough examples for 64 shots; the largest number that works is {most}"
        assert says in done.err


def test_check_warns_of_tasks_that_columns_leave_out(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    collection = write_collection(tmp_path / "ciphers")
    path = collection / "test" / "c9.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:9]))

    def change(raw: dict[str, Any]) -> None:
        raw["task"]["collection"] = str(collection)
        raw["evaluation"]["shots"] = [0, 4, 16]

    done = metanlp_("check", recipe_with(home, tmp_path / "small.yaml", change))
    assert done.code == 0
    assert done.out.count("warning") == 1
    assert "warning: test: 1 of 2 tasks have too few examples for 16 shots" in done.out
    assert "left out there: c9 (evaluation.shots)" in done.out


def test_check_counts_the_leaks_it_does_not_name(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "leaky"
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    rows = "source\ttarget\n" + "".join(f"the sentence number {n}\tder Satz Nummer {n}\n" for n in range(20))
    (folder / "train" / "a.tsv").write_text(rows)
    for task in range(8):
        (folder / "test" / f"t{task}.tsv").write_text(rows)
    (folder / "collection.yaml").write_text("family: translation\nlicence: CC0\nsource: here\nparallel: false\n")
    recipe = recipe_with(home, tmp_path / "leaky.yaml", lambda raw: raw["task"].update(collection=str(folder)))
    done = metanlp_("check", recipe)
    assert done.code == 2
    assert done.err.count("leak: ") == 5
    assert "and 3 leaks more" in done.err


@pytest.mark.parametrize(("examples", "says"), [(0, "has no split 'valid'"), (12, "too few for 16 shots")])
def test_check_sees_that_validation_would_fail(
    metanlp_: Metanlp, home: Path, tmp_path: Path, examples: int, says: str
) -> None:
    """It would fail in the middle of training."""
    collection = write_collection(tmp_path / "ciphers")
    for path in (collection / "valid").glob("*"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: examples + 1])) if examples else path.unlink()
    if not examples:
        (collection / "valid").rmdir()

    def change(raw: dict[str, Any]) -> None:
        raw["task"]["collection"] = str(collection)
        raw["stages"]["meta"]["train"]["validate_every"] = 2

    done = metanlp_("check", recipe_with(home, tmp_path / "wrong.yaml", change))
    assert done.code == 2
    assert says in done.err
    assert "validate_every" in done.err


def test_check_knows_the_metrics(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("check", home / "ciphers.yaml", "evaluation.metrics=[chrF, bleu]")
    assert done.code == 2
    assert "bleu" in done.err
    assert "BLEU" in done.err


def test_check_says_what_to_run_where_data_is_missing(metanlp_: Metanlp, tmp_path: Path) -> None:
    done = metanlp_("check", "demo/numbers", f"task.collection={tmp_path / 'none'}")
    assert done.code == 2
    assert "make it with `python data_scripts/numbers.py --out data/numbers`" in done.err
