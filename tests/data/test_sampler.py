from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanlp.data.collection import TaskCollection
from metanlp.data.sampler import EpisodeSampler, columns_of, evaluation_episode, shortages, shots_within, some_of
from metanlp.data.split import TaskSplit
from metanlp.data.types import Episode
from metanlp.errors import UserError

PER_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows(task: str, unmarked: int, support: int = 0, query: int = 0) -> list[tuple[str, str, str, str]]:
    pools = [""] * unmarked + ["support"] * support + ["query"] * query
    pools = pools[::2] + pools[1::2]  # marks lie mixed in the file
    return [(f"{task} {i}", "x", str(i), pool) for i, pool in enumerate(pools)]


def split_of(make, tasks: dict[str, tuple[int, ...]], split: str = "train", name: str = "collection") -> TaskSplit:
    path = make({f"{split}/{task}": rows(task, *counts) for task, counts in tasks.items()}, name=name)
    return TaskCollection.open(path).split(split)


@pytest.fixture
def split(make) -> TaskSplit:
    return split_of(make, {"large": (50,), "small": (5,), "tiny": (2,), "marked": (4, 3, 6), "half": (10, 5, 0)})


def check_pools(episode: Episode) -> None:
    assert {example.pool for example in episode.support} <= {"", "support"}
    assert {example.pool for example in episode.query} <= {"", "query"}
    if episode.task == "marked":
        assert {example.pool for example in episode.query} <= {"query"}
    assert not {example.id for example in episode.support} & {example.id for example in episode.query}
    assert all(example.source.startswith(f"{episode.task} ") for example in (*episode.support, *episode.query))


@PER_EXAMPLE
@given(
    seed=st.integers(0, 2**32),
    index=st.integers(0, 2**40),
    support=st.integers(0, 30),
    query=st.integers(1, 30),
)
def test_episodes(split: TaskSplit, seed: int, index: int, support: int, query: int) -> None:
    episode = EpisodeSampler(split, seed, support, query)[index]
    assert (len(episode.support), len(episode.query), episode.index) == (support, query, index)
    check_pools(episode)
    assert EpisodeSampler(split, seed, support, query)[index] == episode
    size = int(split.sizes[split.index(episode.task)])
    if size >= support + query and episode.task in ("large", "small", "tiny"):
        assert len({example.id for example in (*episode.support, *episode.query)}) == support + query
    elif episode.task in ("large", "small", "tiny") and support:
        assert len({example.id for example in (*episode.support, *episode.query)}) == size  # nothing is left over


def episodes(split: TaskSplit, task: str, support: int, query: int) -> list[Episode]:
    sampler = EpisodeSampler(split.only([task]), 7, support, query)
    return [sampler[index] for index in range(400)]


def test_small_tasks_are_split_in_proportion_and_repeated_in_turn(split: TaskSplit) -> None:
    for episode in episodes(split, "small", 12, 3):
        ids = [example.id for example in episode.support]
        assert ids == ids[:4] * 3  # 5 examples, 12 : 3
        assert len({example.id for example in episode.query}) == 1
    for episode in episodes(split, "tiny", 1, 30):
        assert len({example.id for example in episode.query}) == 1


def test_everything_that_may_be_drawn_is_drawn(split: TaskSplit) -> None:
    marks = {row[2]: row[3] for row in rows("half", 10, 5)}
    support = Counter(example.id for episode in episodes(split, "half", 3, 2) for example in episode.support)
    query = Counter(example.id for episode in episodes(split, "half", 3, 2) for example in episode.query)
    assert set(support) == set(marks)
    assert set(query) == {id_ for id_, mark in marks.items() if mark == ""}
    assert max(query.values()) < 1.6 * min(query.values())  # 80 each, standard deviation 8
    first = Counter(episode.support[0].id for episode in episodes(split, "large", 3, 2))
    assert len(first) == 50


def test_temperature(make) -> None:
    split = split_of(make, {"a": (100,), "b": (25,), "c": (4,)})
    for temperature, expected in (
        (1.0, [100, 25, 4]),
        (2.0, [10, 5, 2]),
        (1e9, [1, 1, 1]),
        (float("inf"), [1, 1, 1]),
    ):
        sampler = EpisodeSampler(split, 0, 1, 1, temperature)
        counts = Counter(sampler[index].task for index in range(3000))
        share = np.array(expected) / sum(expected)
        seen = np.array([counts[name] for name in "abc"]) / 3000
        assert (abs(seen - share) < 5 * np.sqrt(share * (1 - share) / 3000)).all(), (temperature, seen, share)


@PER_EXAMPLE
@given(step=st.integers(0, 1000), meta_batch=st.integers(1, 12), stack=st.integers(1, 5), world=st.integers(1, 5))
def test_ranks_deal_out_the_meta_batch(split: TaskSplit, step: int, meta_batch: int, stack: int, world: int) -> None:
    sampler = EpisodeSampler(split, 0, 2, 1)
    (alone,) = [sampler.at_step(step, 0, 1, meta_batch, stack)]
    assert [e.index for episodes in alone for e in episodes] == [step * meta_batch + i for i in range(meta_batch)]
    assert all(len(episodes) == stack for episodes in alone[:-1])
    dealt = [sampler.at_step(step, rank, world, meta_batch, stack) for rank in range(world)]
    again = [dealt[number % world][number // world] for number in range(len(alone))]
    assert again == alone
    assert sum(map(len, dealt)) == len(alone)


@pytest.mark.parametrize(("stack", "drawn"), [(1, [21, 23]), (2, [20, 21, 22, 23])])
def test_a_rank_draws_no_more_than_it_must(
    split: TaskSplit, stack: int, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where stacks are made of episodes of like length must it see them all."""
    draw, seen = EpisodeSampler.__getitem__, []
    monkeypatch.setattr(EpisodeSampler, "__getitem__", lambda self, index: seen.append(index) or draw(self, index))
    EpisodeSampler(split, 0, 2, 1).at_step(5, rank=1, world_size=2, meta_batch=4, stack=stack)
    assert seen == drawn


def test_tasks_with_too_few_examples_are_named(make) -> None:
    split = split_of(make, {"fine": (2,), "one": (1,), "only-query": (0, 0, 3), "only-support": (0, 3, 0)})
    with pytest.raises(UserError, match=r"3 of the 4 tasks .*: one, only-query, only-support"):
        EpisodeSampler(split, 0, 1, 1)
    with pytest.raises(UserError, match=r"1 of the 4 tasks .*: only-support"):
        EpisodeSampler(split, 0, 0, 1)
    with pytest.raises(UserError, match="no tasks to draw from"):
        EpisodeSampler(split.only([]), 0, 1, 1)
    with pytest.raises(IndexError):
        EpisodeSampler(split.only(["fine"]), 0, 1, 1)[-1]


@PER_EXAMPLE
@given(
    seed=st.integers(0, 2**32),
    task=st.sampled_from(["large", "marked", "half"]),
    queries=st.none() | st.integers(1, 60),
)
def test_support_is_nested_and_queries_stay(split: TaskSplit, seed: int, task: str, queries: int | None) -> None:
    drawn = [evaluation_episode(split, task, shots, seed, queries=queries, max_shots=7) for shots in (0, 1, 4, 7)]
    most = {"large": 43, "marked": 6, "half": 8}[task]
    for episode, shots in zip(drawn, (0, 1, 4, 7), strict=True):
        check_pools(episode)
        assert list(episode.support) == list(drawn[-1].support[:shots])
        assert len(episode.support) == shots
        assert episode.query == drawn[0].query
        assert len(episode.query) == (most if queries is None else min(most, queries))
        assert episode.index == drawn[0].index


def test_evaluation_episodes_depend_on_the_task_alone(make, split: TaskSplit) -> None:
    other = split_of(make, {"large": (50,), "aa": (3,), "zz": (9,)}, split="test", name="other")
    mine = evaluation_episode(split, "large", 4, seed=1, max_shots=8)
    assert evaluation_episode(other, "large", 4, seed=1, max_shots=8) == mine
    assert evaluation_episode(other, "large", 4, seed=2, max_shots=8).support != mine.support
    assert evaluation_episode(split.only(["large"]), "large", 4, seed=1, max_shots=8) == mine


def test_too_few_examples_for_the_shots(make, split: TaskSplit) -> None:
    with pytest.raises(
        UserError, match=r"'marked' has 13 examples \(3 marked support, 6 marked query\), too few for 8 shots"
    ):
        evaluation_episode(split, "marked", 4, 0, max_shots=8)
    assert len(shortages(split, 7)) == 2  # small, tiny
    assert shortages(split.only(["large"]), 49) == []
    assert len(shortages(split.only(["large"]), 50)) == 1
    with pytest.raises(ValueError, match="max_shots"):
        evaluation_episode(split, "large", 4, 0, max_shots=3)


def test_columns_leave_out_tasks_with_too_few_examples(make, split: TaskSplit) -> None:
    """Of 2 examples one can be learnt from; 10 unmarked and 5 to learn from alone leave a query at 14 shots."""
    assert columns_of(split, [0, 1, 7, 14]) == {
        0: ["half", "large", "marked", "small", "tiny"],
        1: ["half", "large", "marked", "small", "tiny"],
        7: ["half", "large", "marked"],
        14: ["half", "large"],
    }
    assert shots_within(split, "small", [0, 4, 5, 1]) == [0, 4, 1]
    with pytest.raises(UserError, match=r"no task .* train has enough .* for 50, 64 shots; the largest .* works is 49"):
        columns_of(split, [0, 49, 50, 64])
    with pytest.raises(UserError, match="the largest number that works is 7"):
        columns_of(split.only(["small", "marked"]), [8])
    with pytest.raises(UserError, match="none of them has a single query"):
        columns_of(split_of(make, {"a": (0, 3)}, name="other"), [0])


def test_some_of_the_tasks_are_the_same_ones_every_time(split: TaskSplit) -> None:
    """Fewer are among more, whoever else is there; the order of the names stays."""
    chosen = [some_of(split, count).names for count in (1, 2, 3, 4, 5, 99, None)]
    assert [len(names) for names in chosen] == [1, 2, 3, 4, 5, 5, 5]
    assert all(set(few) < set(more) for few, more in itertools.pairwise(chosen[:5]))
    assert all(list(names) == sorted(names) for names in chosen)
    assert some_of(split.only(chosen[2]), 2).names == chosen[1]


def test_the_first_episodes_never_change(make) -> None:
    """Results are repeated by seed: if this fails, every published number means another experiment."""
    split = split_of(make, {"a": (9,), "b": (6, 2, 3)})
    drawn = EpisodeSampler(split, 0, 3, 2)[6], EpisodeSampler(split, 0, 3, 2)[7]
    assert [(e.task, [x.id for x in e.support], [x.id for x in e.query]) for e in drawn] == [
        ("a", ["3", "4", "7"], ["2", "8"]),
        ("b", ["6", "3", "2"], ["10", "5"]),
    ]
    episode = evaluation_episode(split, "b", 3, 0, max_shots=4)
    assert [[x.id for x in side] for side in (episode.support, episode.query)] == [
        ["6", "8", "7"],
        ["4", "5", "10"],
    ]


def test_repeated_draws_read_the_same_after_reopening(make, tmp_path: Path) -> None:
    before = [EpisodeSampler(split_of(make, {"a": (30,), "b": (9,)}), 3, 4, 2)[i] for i in range(5)]
    (tmp_path / "collection" / "train" / "a.tsv").touch()
    again = TaskCollection.open(tmp_path / "collection").split("train")
    assert [EpisodeSampler(again, 3, 4, 2)[i] for i in range(5)] == before
