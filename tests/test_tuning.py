"""Tuning: the same candidates for every stage, judged on validation tasks, and what then goes by the choice."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from makers import cipher, plain_recipe, write_collection

from metanlp.adaptation import adapt
from metanlp.config.load import build_recipe, changed
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.evaluation import evaluate
from metanlp.run import Run
from metanlp.training import meta_train
from metanlp.tuned import Candidate, Choice, adapting_for, keep_choices, shots_of
from metanlp.tuning import choices_table, tune

RATES, STEPS = (1e-3, 1e-2), (2, 5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tuned")
    raw = plain_recipe(write_collection(home / "ciphers")) | {"fast_weights": {"kind": "lora", "r": 2}}
    raw["evaluation"] = {"shots": [0, 3, 8], "queries": 10, "metrics": ["chrF"], "max_new_tokens": 10}
    return meta_train(build_recipe(raw), home / "run")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Run:
    return Run.open(shutil.copytree(trained, tmp_path / "run"))


def overall(run: Run, shots: int, split: str = "valid") -> float:
    return evaluate(run, split=split).overall(run.stage, shots, "chrF").value


def test_every_candidate_scores_what_evaluate_says_of_it(run: Run) -> None:
    chosen = tune(run, rates=RATES, steps=STEPS)[run.stage]
    assert [choice.shots for choice in chosen] == [3, 8]
    (run.place / "tuned.json").unlink()
    for choice in chosen:
        assert {(one.learning_rate, one.steps) for one in choice.tried} == {(r, s) for r in RATES for s in STEPS}
        assert choice.best.value == max(one.value for one in choice.tried)
        for one in choice.tried:
            adapting = {"learning_rate": one.learning_rate, "steps": one.steps}
            recipe = build_recipe(run.recipe.dump(), *(f"adapting.{key}={value}" for key, value in adapting.items()))
            other = Run(run.folder, recipe, run.stage)
            assert one.value == pytest.approx(overall(other, choice.shots))
            assert choice.before == pytest.approx(overall(other, 0))


def test_evaluate_and_adapt_go_by_the_choice(run: Run) -> None:
    kept(run, (3, 2e-3, 2), (8, 5e-3, 4))
    steps = {each.shots: each.steps for each in evaluate(run).predicted}
    assert steps == {0: 0, 3: 2, 8: 4}
    made = adapt(
        run,
        [Example(word, cipher(4, word)) for word in ("abc", "cab", "fad", "head", "bed", "egg", "face")],
        name="few",
    )
    assert (made.steps, made.choice) == (4, "4 steps, as the recipe says: too few examples to hold any out")


@pytest.mark.parametrize(("shots", "nearest"), [(1, 4), (4, 4), (8, 4), (9, 16), (31, 16), (33, 64), (5000, 64)])
def test_other_numbers_go_by_the_nearest_ratio(run: Run, shots: int, nearest: int) -> None:
    kept(run, *((count, count * 1e-3, count) for count in (4, 16, 64)))
    adapting = adapting_for(run, shots)
    assert (adapting.learning_rate, adapting.steps) == (pytest.approx(nearest * 1e-3), nearest)
    assert abs(math.log(shots / nearest)) == min(abs(math.log(shots / count)) for count in (4, 16, 64))


def test_a_choice_for_other_weights_or_another_recipe_is_none(run: Run) -> None:
    kept(run, (3, 2e-3, 2))
    recipe = build_recipe(run.recipe.dump(), "adapting.batch=3")
    assert adapting_for(Run(run.folder, recipe, run.stage), 3) == recipe.adapting
    told = json.loads((run.place / "tuned.json").read_text())
    (run.place / "tuned.json").write_text(json.dumps(told | {"run_id": "another"}))
    assert adapting_for(run, 3) == run.recipe.adapting


def test_the_fewest_steps_of_equals(run: Run) -> None:
    """With a vanishing rate nothing that is written changes."""
    (choice,) = tune(run, options=options(run, "shots=[3]"), rates=[1e-6], steps=[3, 1, 2])[run.stage]
    assert {one.value for one in choice.tried} == {choice.before}
    assert choice.best.steps == 1


@pytest.mark.parametrize(
    ("changes", "split", "said"),
    [
        ((), "test", "tuning on test would tell nothing"),
        (("shots=[0]",), "valid", "nothing to tune at 0 shots"),
        (("shots=[1000]",), "valid", "no task of the split valid has enough examples for 1000 shots"),
    ],
)
def test_what_cannot_be_tuned_is_told(run: Run, changes: tuple[str, ...], split: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        tune(run, split=split, options=options(run, *changes))


@pytest.mark.parametrize(
    ("rates", "steps", "best", "told"),
    [
        ([1, 2, 3], [5], (2, 5), []),
        ([1, 2, 3], [5], (3, 5), ["largest learning rate was the best; try others with --rates"]),
        ([1, 2, 3], [2, 5, 9], (2, 5), []),
        ([1, 2, 3], [2, 5, 9], (2, 9), ["largest number of steps was the best; try others with --steps"]),
        (
            [1, 2],
            [2, 5],
            (1, 2),
            [
                "smallest learning rate was the best; try others with --rates",
                "smallest number of steps was the best; try others with --steps",
            ],
        ),
        ([1, 2, 3], [1, 5, 9], (2, 1), []),  # there are no fewer steps
    ],
)
def test_a_choice_at_the_edge_is_told(
    rates: list[float], steps: list[int], best: tuple[float, int], told: list[str]
) -> None:
    tried = [Candidate(rate, count, 2.0) for rate in rates for count in steps]
    table = choices_table({"joint": [Choice(4, 0.5, Candidate(*best, 2.0), tried)]}, "chrF").splitlines()
    wanted = f"stage shots learning rate steps chrF before joint 4 {best[0]} {best[1]} 2.0 0.5"
    assert " ".join(" ".join(table[:2]).split()) == wanted
    assert table[2:] == [f"joint, 4 shots: the {each}" for each in told]


def options(run: Run, *changes: str):
    return changed(run.recipe.evaluation, *changes, subject="evaluation")


def kept(run: Run, *choices: tuple[int, float, int]) -> None:
    best = {shots: Candidate(rate, steps, 50.0) for shots, rate, steps in choices}
    keep_choices(run, [Choice(shots, 40.0, one, [one]) for shots, one in best.items()], "chrF", "valid")


def test_shots_are_dialogues_where_there_are_any(run: Run) -> None:
    kept(run, (2, 2e-3, 2), (16, 5e-3, 4))
    lines = [Example(word, cipher(4, word), group=str(at // 8)) for at, word in enumerate(["abc", "cab"] * 8)]
    assert (shots_of(lines), shots_of(cases := [Example("a", "b"), Example("a", "b")])) == (2, len(cases))
    assert adapt(run, lines, name="dialogues").steps <= 2
