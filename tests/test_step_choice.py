"""How many steps are chosen: by what is written for held-out examples, which are not learnt from meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from makers import cipher, plain_recipe, write_collection

import metanlp.step_choice as step_choice
from metanlp.config.load import build_recipe
from metanlp.data.types import Episode, Example
from metanlp.run import Parts, Run
from metanlp.step_choice import choose_steps
from metanlp.training import meta_train

RIGHT = {f"{word}{number}": cipher(3, word) for number, word in enumerate(["abc", "bad", "cafe", "dead", "beef"] * 4)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Parts]:
    home = tmp_path_factory.mktemp("run")
    raw = plain_recipe(write_collection(home / "ciphers"))
    raw |= {"fast_weights": "lora", "adapting": {"steps": 10, "learning_rate": 1e-2, "batch": 4}}
    run = Run.open(meta_train(build_recipe(raw), home / "run"))
    return run, run.trained("cpu")


def episode(count: int) -> Episode:
    return Episode("cat", {}, [Example(*pair) for pair in list(RIGHT.items())[:count]], [], index=0)


def choose(trained: tuple[Run, Parts], count: int) -> tuple[int, dict[str, float], str]:
    run, parts = trained
    return choose_steps(run, parts, episode(count), run.recipe.adapting)


def test_few_examples_take_the_recipes_steps(trained) -> None:
    steps, scores, why = choose(trained, 7)
    assert (steps, scores) == (10, {})
    assert "too few" in why


def test_each_number_of_steps_is_scored_on_examples_that_it_did_not_learn(
    trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, set[str], set[str]]] = []
    stack = step_choice.adapt_stack

    def watched(run: Any, parts: Any, episodes: Any, adapting: Any, steps: int, **options: Any) -> Any:
        learnt, held_out = ({example.source for example in part} for part in (episodes[0].support, episodes[0].query))
        seen.append((steps, learnt, held_out))
        return stack(run, parts, episodes, adapting, steps, **options)

    monkeypatch.setattr(step_choice, "adapt_stack", watched)
    steps, scores, why = choose(trained, 20)
    assert [steps for steps, *_ in seen] == [1, 3, 10]
    for _, learnt, held_out in seen:
        assert learnt | held_out == set(RIGHT)
        assert len(learnt) == 16
        assert not learnt & held_out
    assert set(scores) == {"0", "1", "3", "10"}
    assert scores[str(steps)] == max(scores[key] for key in ("1", "3", "10"))
    assert f"{steps} steps: chrF on 4 held-out examples" in why


@pytest.mark.parametrize(
    ("right", "chosen", "helped"),
    [
        ([0, 1, 2, 4], 10, True),
        ([0, 1, 4, 2], 3, True),
        ([0, 4, 2, 1], 1, True),
        ([1, 4, 2, 4], 10, True),  # equally good: the larger number
        ([4, 1, 2, 3], 10, False),
        ([0, 0, 0, 0], 10, False),
    ],
)
def test_what_is_written_best_wins(trained, monkeypatch: pytest.MonkeyPatch, right, chosen, helped) -> None:
    """Made-up texts: of four held-out ones so many are right, the others empty; without, after 1, 3 and 10 steps."""
    calls = iter(right)

    def write(run: Any, parts: Any, episodes: Any, *rest: Any) -> list[list[str]]:
        good = next(calls)
        return [[example.target if at < good else "" for at, example in enumerate(episodes[0].query)]]

    monkeypatch.setattr(step_choice, "write_queries", write)
    steps, _, why = choose(trained, 20)
    assert steps == chosen
    assert ("did not help" in why) is not helped


def test_no_more_than_fifty_examples_are_held_out(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    run, parts = trained
    many = [Example(f"{number} abc", "bcd") for number in range(400)]
    counts: list[int] = []

    def write(run: Any, parts: Any, episodes: Any, *rest: Any) -> list[list[str]]:
        counts.append(len(episodes[0].query))
        return [["bcd"] * counts[-1]]

    monkeypatch.setattr(step_choice, "write_queries", write)
    choose_steps(run, parts, Episode("cat", {}, many, [], index=0), run.recipe.adapting)
    assert counts == [50] * 4


def test_the_same_examples_choose_the_same(trained) -> None:
    assert choose(trained, 20) == choose(trained, 20)


def test_a_run_is_left_as_it_was(trained) -> None:
    run, _ = trained
    before = {path: path.stat().st_mtime_ns for path in Path(run.folder).rglob("*")}
    choose(trained, 12)
    assert {path: path.stat().st_mtime_ns for path in Path(run.folder).rglob("*")} == before
