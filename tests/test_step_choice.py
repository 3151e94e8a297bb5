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
    """Three parts of four examples each take their turns, side by side with LoRA."""
    seen: list[tuple[int, list[set[str]], list[set[str]]]] = []
    stack = step_choice.adapt_stack

    def watched(run: Any, parts: Any, episodes: Any, adapting: Any, steps: int, **options: Any) -> Any:
        learnt, held_out = (
            [{example.source for example in part} for part in parts_of]
            for parts_of in ([each.support for each in episodes], [each.query for each in episodes])
        )
        seen.append((steps, learnt, held_out))
        return stack(run, parts, episodes, adapting, steps, **options)

    monkeypatch.setattr(step_choice, "adapt_stack", watched)
    steps, scores, why = choose(trained, 20)
    assert [steps for steps, *_ in seen] == [1, 3, 10]
    for _, learnt, held_out in seen:
        assert [len(part) for part in learnt] == [16] * 3
        assert len(set.union(*held_out)) == 12
        assert all(own | other == set(RIGHT) and not own & other for own, other in zip(learnt, held_out, strict=True))
    assert set(scores) == {"0", "1", "3", "10"}
    assert f"{steps} steps: chrF on 12 held-out examples" in why


def test_full_weights_take_the_parts_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = plain_recipe(write_collection(tmp_path / "ciphers"))
    raw |= {"fast_weights": "full", "adapting": {"steps": 2, "learning_rate": 1e-2, "batch": 4}}
    run = Run.open(meta_train(build_recipe(raw), tmp_path / "run"))
    seen: list[tuple[int, int]] = []
    stack = step_choice.adapt_stack

    def watched(run: Any, parts: Any, episodes: Any, adapting: Any, steps: int, **options: Any) -> Any:
        seen.append((steps, len(episodes)))
        return stack(run, parts, episodes, adapting, steps, **options)

    monkeypatch.setattr(step_choice, "adapt_stack", watched)
    _, scores, why = choose((run, run.trained("cpu")), 20)
    assert seen == [(1, 1)] * 3 + [(2, 1)] * 3
    assert set(scores) == {"0", "1", "2"}
    assert "on 12 held-out examples" in why


FIRST, REST = set(range(6)), set(range(6, 12))


@pytest.mark.parametrize(
    ("right", "chosen", "helped"),
    [
        ([set(), {1}, {1, 2}, FIRST], 10, True),
        ([set(), {1}, FIRST | REST, FIRST], 3, True),
        ([set(), FIRST | REST, {1}, {1}], 1, True),
        ([set(), FIRST, FIRST, FIRST], 10, True),  # equally good: the largest
        (
            [set(), FIRST, set(), REST - {6}],
            10,
            True,
        ),  # 5 of 12 against 6, others of them: as good, for all one can tell
        ([FIRST | REST, FIRST, {1}, {1}], 1, False),
        ([set(), set(), set(), set()], 10, False),
    ],
)
def test_what_is_written_best_wins(trained, monkeypatch: pytest.MonkeyPatch, right, chosen, helped) -> None:
    """Made-up texts: which of twelve held-out ones are right, the others empty; without, after 1, 3 and 10 steps."""
    calls = iter(right)

    def write(run: Any, parts: Any, episodes: Any, *rest: Any) -> list[list[str]]:
        good, number, written = next(calls), -1, []
        for episode in episodes:
            written.append([])
            for example in episode.query:
                number += 1
                written[-1].append(example.target if number in good else "")
        return written

    monkeypatch.setattr(step_choice, "write_queries", write)
    steps, scores, why = choose(trained, 20)
    assert steps == chosen
    assert scores["10"] == pytest.approx(100 * len(right[3]) / 12)
    assert ("did not help" in why) is not helped


@pytest.mark.parametrize(("count", "parts", "size"), [(8, 3, 2), (20, 3, 4), (60, 2, 12), (100, 1, 20), (400, 1, 50)])
def test_as_many_parts_as_it_takes_to_hold_out_enough(
    trained, count: int, parts: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, built = trained
    many = [Example(f"{number} abc", "bcd") for number in range(count)]
    sizes: list[list[int]] = []

    def write(run: Any, parts: Any, episodes: Any, *rest: Any) -> list[list[str]]:
        sizes.append([len(episode.query) for episode in episodes])
        return [["bcd"] * len(episode.query) for episode in episodes]

    monkeypatch.setattr(step_choice, "write_queries", write)
    choose_steps(run, built, Episode("cat", {}, many, [], index=0), run.recipe.adapting)
    assert sizes == [[parts * size], *[[size] * parts] * 3]


def test_the_same_examples_choose_the_same(trained) -> None:
    assert choose(trained, 20) == choose(trained, 20)


def test_a_run_is_left_as_it_was(trained) -> None:
    run, _ = trained
    before = {path: path.stat().st_mtime_ns for path in Path(run.folder).rglob("*")}
    choose(trained, 12)
    assert {path: path.stat().st_mtime_ns for path in Path(run.folder).rglob("*")} == before


def test_a_dialogue_is_held_out_as_a_whole(trained, monkeypatch: pytest.MonkeyPatch) -> None:
    run, parts = trained
    sizes = [1, 4, 2, 5, 3, 4]
    groups = [str(number) for number, size in enumerate(sizes) for _ in range(size)]
    examples = [Example(*pair, group=group) for pair, group in zip(RIGHT.items(), groups, strict=False)]
    sides: list[tuple[set[str], set[str]]] = []
    stack = step_choice.adapt_stack

    def watched(run: Any, parts: Any, episodes: Any, *others: Any, **options: Any) -> Any:
        sides.extend(tuple({each.group for each in side} for side in (one.support, one.query)) for one in episodes)
        return stack(run, parts, episodes, *others, **options)

    monkeypatch.setattr(step_choice, "adapt_stack", watched)
    choose_steps(run, parts, Episode("cat", {}, examples, [], index=0), run.recipe.adapting)
    assert len(sides) == 3 * 3  # three numbers of steps, three parts of one dialogue each
    for learnt, held_out in sides:
        assert len(held_out) == 1
        assert learnt == set(groups) - held_out
    assert len({group for _, held_out in sides for group in held_out}) == 3
    alone = [Example(*pair, group="1") for pair in RIGHT.items()]
    steps, scores, _ = choose_steps(run, parts, Episode("cat", {}, alone, [], index=0), run.recipe.adapting)
    assert (steps, scores) == (10, {})
