from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from dialogue_splits import PEOPLE, groups, split_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanlp.data.collection import TaskCollection
from metanlp.data.sampler import columns_of, left_out_episodes, shots_within
from metanlp.data.split import TaskSplit
from metanlp.data.types import Episode
from metanlp.errors import UserError

PER_EXAMPLE = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JUDGED = {"ann": [0, 1, 2, 3, 4, 5, 6], "bob": [0, 1], "cyd": [2, 5], "dee": [0, 3]}  # those marked query, or unmarked
LEARNT = {"ann": [0, 1, 2, 3, 4, 5, 6], "bob": [0, 1], "cyd": [0, 1, 3, 4], "dee": [0, 1, 2, 3]}  # all not marked query
TASKS = st.sampled_from([*PEOPLE])
SEEDS = st.integers(0, 2**32)


@pytest.fixture
def split(make_dialogues) -> TaskSplit:
    return split_of(make_dialogues, PEOPLE)


def numbers(episode: Episode, side: str) -> list[int]:
    return sorted({int(group[-3:]) for group in groups(getattr(episode, side))})


def left_out(episodes: Sequence[Episode]) -> list[int]:
    return [number for episode in episodes for number in numbers(episode, "query")]


@PER_EXAMPLE
@given(seed=SEEDS, task=TASKS, shots=st.integers(0, 9))
def test_each_dialogue_is_judged_on_once_and_never_learnt_from_there(
    split: TaskSplit, seed: int, task: str, shots: int
) -> None:
    episodes = left_out_episodes(split, task, shots, seed)
    rows = list(split.task(task).examples)
    assert left_out(episodes) == JUDGED[task]
    asked = [query for episode in episodes for query in episode.query]
    assert asked == [row for row in rows if int(row.group[-3:]) in JUDGED[task]]  # every reply, once
    for episode in episodes:
        (out,) = numbers(episode, "query")
        support = numbers(episode, "support")
        others = [number for number in LEARNT[task] if number != out]
        assert set(support) <= set(others)
        assert len(support) == min(shots, len(others))
        assert list(episode.support) == [row for row in rows if int(row.group[-3:]) in support]  # whole, in order
    assert len({episode.index for episode in episodes}) == len(episodes)
    assert left_out_episodes(split, task, shots, seed) == episodes


@PER_EXAMPLE
@given(seed=SEEDS, task=TASKS, queries=st.none() | st.integers(1, 6), folds=st.none() | st.integers(1, 9))
def test_support_is_nested_and_the_queries_stay(
    split: TaskSplit, seed: int, task: str, queries: int | None, folds: int | None
) -> None:
    drawn = [left_out_episodes(split, task, shots, seed, queries, folds) for shots in range(7)]
    whole = {tuple(numbers(each, "query")): each for each in left_out_episodes(split, task, 0, seed)}
    assert len(drawn[0]) == min(len(JUDGED[task]), folds or 9)
    for column, larger in pairwise(drawn):
        for episode, more in zip(column, larger, strict=True):
            assert set(numbers(episode, "support")) <= set(numbers(more, "support"))
            assert episode.query == more.query
            assert episode.index == more.index
    for episode in drawn[0]:
        all_of_it = list(whole[tuple(numbers(episode, "query"))].query)
        assert list(episode.query) == (all_of_it if queries is None else all_of_it[-queries:])
        assert not episode.support


def test_which_dialogues_are_left_out_and_learnt_from_is_a_matter_of_the_seed(split: TaskSplit) -> None:
    for folds, possible in ((1, 7), (2, 21)):
        chosen = {tuple(left_out(left_out_episodes(split, "ann", 1, seed, folds=folds))) for seed in range(300)}
        assert len(chosen) == possible  # all there are, in order of time
    firsts = [left_out_episodes(split, "ann", 1, seed)[0] for seed in range(100)]
    assert {tuple(numbers(episode, "support")) for episode in firsts} == {(number,) for number in range(1, 7)}
    more = set(left_out(left_out_episodes(split, "ann", 1, 3, folds=4)))
    assert set(left_out(left_out_episodes(split, "ann", 1, 3, folds=2))) < more


def test_it_depends_on_the_task_alone(make_dialogues, split: TaskSplit) -> None:
    other = split_of(make_dialogues, {"ann": PEOPLE["ann"], "zoe": [(2, "")]}, split="test", name="other")
    mine = left_out_episodes(split, "ann", 2, seed=1, queries=3, folds=3)
    assert left_out_episodes(other, "ann", 2, seed=1, queries=3, folds=3) == mine
    assert left_out_episodes(split.only(["ann"]), "ann", 2, seed=1, queries=3, folds=3) == mine


def test_the_first_episodes_never_change(split: TaskSplit) -> None:
    """Results are repeated by seed: if this fails, every published number means another experiment."""
    episodes = left_out_episodes(split, "ann", 3, 0, folds=3)
    assert [f"{numbers(each, 'support')} {numbers(each, 'query')}" for each in episodes] == [
        "[4, 5, 6] [1]",
        "[2, 3, 5] [4]",
        "[1, 3, 5] [6]",
    ]


def test_only_those_with_a_single_dialogue_are_left_out_of_a_column(make_dialogues) -> None:
    people = {
        "one": [(9, "")],
        "two": [(1, ""), (1, "")],
        "marked": [(1, "query"), (3, "support")],
        "unasked": [(1, "support"), (3, "support")],
        "unlearnt": [(1, "query"), (3, "query")],
        "one-of-two": [(2, ""), (3, "support")],
    }
    split = split_of(make_dialogues, people)
    able = ["marked", "one-of-two", "two"]
    assert columns_of(split, [0, 1, 10], "leave_one_out") == {0: sorted([*able, "one", "unlearnt"]), 1: able, 10: able}
    assert shots_within(split, "two", [0, 1, 10], "leave_one_out") == [0, 1, 10]
    assert left_out(left_out_episodes(split, "one", 0, 0)) == [0]
    assert left_out(left_out_episodes(split, "one-of-two", 5, 0)) == [0]
    with pytest.raises(UserError, match="task 'one' has 1 dialogue, too few to leave one out and learn from another"):
        left_out_episodes(split, "one", 1, 0)
    with pytest.raises(UserError, match=r"'unlearnt' has 2 dialogues \(0 marked support, 2 marked query\), too few"):
        left_out_episodes(split, "unlearnt", 1, 0)
    with pytest.raises(UserError, match="for 3, 10 shots; the largest number that works is 0"):
        columns_of(split.only(["one", "unlearnt"]), [0, 3, 10], "leave_one_out")


def test_examples_of_no_dialogue_are_not_left_out(make: Callable[..., Path]) -> None:
    split = TaskCollection.open(make({"test/zu": [("one", "kunye"), ("two", "kubili")]})).split("test")
    with pytest.raises(
        UserError, match=r"leave_one_out .* the examples of the split test belong to none; use protocol"
    ):
        columns_of(split, [0], "leave_one_out")
