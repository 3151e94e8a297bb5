from __future__ import annotations

import time

import pytest
from dialogue_splits import PEOPLE, Dialogues, groups, split_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanlp.data.sampler import EpisodeSampler, evaluation_episode, shortages
from metanlp.data.split import TaskSplit
from metanlp.data.types import Episode
from metanlp.errors import UserError

PER_EXAMPLE = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def split(make_dialogues) -> TaskSplit:
    return split_of(make_dialogues, PEOPLE)


def check_sides(episode: Episode) -> None:
    assert {example.pool for example in episode.support} <= {"", "support"}
    assert {example.pool for example in episode.query} <= ({"query"} if episode.task == "cyd" else {""})
    assert all(group.startswith(f"{episode.task}-") for group in groups([*episode.support, *episode.query]))
    if episode.support:
        assert max(groups(episode.support)) < min(groups(episode.query))  # earlier dialogues, never the same


@PER_EXAMPLE
@given(seed=st.integers(0, 2**32), index=st.integers(0, 2**40), support=st.integers(0, 30), query=st.integers(1, 30))
def test_training_episodes(split: TaskSplit, seed: int, index: int, support: int, query: int) -> None:
    episode = EpisodeSampler(split, seed, support, query)[index]
    assert (len(episode.support), len(episode.query), episode.index) == (support, query, index)
    check_sides(episode)
    assert EpisodeSampler(split, seed, support, query)[index] == episode
    for side in (episode.support, episode.query):
        different = len(set(side))
        assert list(side) == [side[place % different] for place in range(len(side))]  # repeated in turn, if at all


def best_cuts(dialogues: Dialogues, support: int, query: int) -> set[int]:
    """By hand: the cuts that leave the most of what is asked for."""
    sizes = [size for size, _ in dialogues]
    lacking = {
        cut: max(0, support - sum(sizes[:cut])) + max(0, query - sum(sizes[cut:])) for cut in range(1, len(sizes))
    }
    return {cut for cut, count in lacking.items() if count == min(lacking.values())}


@pytest.mark.parametrize(("support", "query"), [(3, 2), (4, 8), (12, 4), (40, 3), (3, 40)])
def test_every_good_cut_is_drawn_and_no_other(split: TaskSplit, support: int, query: int) -> None:
    sampler = EpisodeSampler(split.only(["ann"]), 5, support, query)
    drawn = [sampler[index] for index in range(600)]
    possible = best_cuts(PEOPLE["ann"], support, query)
    for episode in drawn:
        between = {
            cut for cut in possible if max(groups(episode.support)) < f"ann-{cut:03}" <= min(groups(episode.query))
        }
        assert between
    if support + query <= 5:  # then everything that a cut leaves is drawn sooner or later
        wanted = {f"ann-{number:03}" for number in range(max(possible))}
        assert {group for episode in drawn for group in groups(episode.support)} == wanted
        wanted = {f"ann-{number:03}" for number in range(min(possible), 7)}
        assert {group for episode in drawn for group in groups(episode.query)} == wanted


def test_without_support_anything_is_asked(split: TaskSplit) -> None:
    sampler = EpisodeSampler(split.only(["ann"]), 5, 0, 2)
    assert len({group for index in range(300) for group in groups(sampler[index].query)}) == 7


@PER_EXAMPLE
@given(
    seed=st.integers(0, 2**32),
    task=st.sampled_from(["ann", "cyd", "dee"]),
    queries=st.none() | st.integers(1, 12),
    most=st.integers(0, 3),
)
def test_support_is_nested_and_the_queries_are_the_last(
    split: TaskSplit, seed: int, task: str, queries: int | None, most: int
) -> None:
    drawn = [evaluation_episode(split, task, shots, seed, queries=queries, max_shots=most) for shots in range(most + 1)]
    rows = list(split.task(task).examples)
    for shots, episode in enumerate(drawn):
        check_sides(episode)
        assert episode.query == drawn[0].query
        assert list(episode.support) == list(drawn[-1].support)[len(drawn[-1].support) - len(episode.support) :]
        assert len(set(groups(episode.support))) == shots
        assert episode.index == drawn[0].index
        chosen = set(groups(episode.support))  # whole dialogues, in order
        assert list(episode.support) == [row for row in rows if row.group in chosen]
    asked = [row for row in rows if row.pool == ("query" if task == "cyd" else "")]
    assert list(drawn[0].query) == asked[len(asked) - len(drawn[0].query) :]
    assert queries is None or len(drawn[0].query) <= queries


def test_evaluation_by_hand(split: TaskSplit) -> None:
    def drawn(task: str, shots: int, most: int, queries: int | None) -> list[list[str]]:
        episode = evaluation_episode(split, task, shots, 0, queries, most)
        return [sorted({group[-1] for group in groups(side)}) for side in (episode.support, episode.query)]

    assert drawn("ann", 2, 3, 4) == [["3", "4"], ["5", "6"]]  # 1 + 3 of the 5 replies
    assert drawn("ann", 3, 3, None) == [["0", "1", "2"], ["3", "4", "5", "6"]]
    assert drawn("ann", 1, 6, 4) == [["5"], ["6"]]  # all but one are learnt from with 6 shots
    assert drawn("cyd", 2, 2, None) == [["0", "1"], ["2", "5"]]
    assert drawn("cyd", 3, 3, None) == [["1", "3", "4"], ["5"]]
    assert drawn("dee", 1, 1, 3) == [["2"], ["3"]]  # what is marked support is never asked
    assert drawn("bob", 1, 1, 1) == [["0"], ["1"]]


def test_evaluation_depends_on_the_task_alone(make_dialogues, split: TaskSplit) -> None:
    other = split_of(make_dialogues, {"ann": PEOPLE["ann"], "zoe": [(2, ""), (1, "")]}, split="test", name="other")
    mine = evaluation_episode(split, "ann", 2, seed=1, max_shots=3)
    assert evaluation_episode(other, "ann", 2, seed=1, max_shots=3) == mine
    assert evaluation_episode(split.only(["ann"]), "ann", 2, seed=1, max_shots=3) == mine
    again = evaluation_episode(split, "ann", 2, seed=2, max_shots=3)
    assert (again.support, again.query) == (mine.support, mine.query)  # the last ones, whatever the seed
    assert again.index != mine.index


def test_people_with_too_few_dialogues_are_named(make_dialogues) -> None:
    people = {"fine": [(1, ""), (1, "")], "one": [(9, "")], "late": [(1, "query"), (3, "support")], "none": []}
    split = split_of(make_dialogues, people)
    with pytest.raises(
        UserError, match=r"3 of the 4 tasks .* have no dialogue to learn from and a later .*: late, none, one"
    ):
        EpisodeSampler(split, 0, 1, 1)
    with pytest.raises(UserError, match=r"1 of the 4 tasks .*: none"):
        EpisodeSampler(split, 0, 0, 1)
    with pytest.raises(
        UserError, match="task 'one' has 1 dialogue, too few for 1 shots and a later one to be judged on"
    ):
        evaluation_episode(split, "one", 1, 0)
    assert len(evaluation_episode(split, "one", 0, 0).query) == 9
    assert [text.split("'")[1] for text in shortages(split, 1)] == ["late", "none", "one"]
    assert "2 dialogues (1 marked support, 1 marked query)" in shortages(split, 1)[0]
    assert len(shortages(split, 2)) == 4


def test_the_first_episodes_never_change(split: TaskSplit) -> None:
    """Results are repeated by seed: if this fails, every published number means another experiment."""
    drawn = EpisodeSampler(split, 0, 3, 2)
    sides = (drawn[6].support, drawn[6].query, drawn[7].support, drawn[7].query)
    assert [" ".join(f"{each.group}:{each.source[5:]}" for each in side) for side in sides] == [
        "ann-000:1 ann-001:0 ann-000:2",
        "ann-002:7 ann-003:1",
        "dee-000:1 dee-001:1 dee-001:0",
        "dee-003:2 dee-003:1",
    ]


def test_drawing_costs_the_same_from_many_people(make_dialogues) -> None:
    def best(people: int) -> float:
        dialogues = [(4, "")] * 60
        names = [f"p{number:03}" for number in range(people)]
        sampler = EpisodeSampler(
            split_of(make_dialogues, dict.fromkeys(names, dialogues), name=f"of{people}"), 0, 20, 4
        )
        times = []
        for start in range(0, 250, 50):
            began = time.perf_counter()
            for index in range(start, start + 50):
                sampler[index]
            times.append(time.perf_counter() - began)
        return min(times)

    assert best(200) < 3 * best(4)
