from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metanlp.data.seeds import Draws, Shuffle, seed_of

parts = st.lists(st.one_of(st.integers(), st.text()), max_size=4)


def test_seeds_are_the_same_everywhere_and_forever() -> None:
    assert seed_of(3, "dropout", -1) == 0x4047DB490AA81411  # printf i1:3s7:dropouti2:-1 | b2sum -l 64
    bits = np.random.Generator(np.random.Philox(key=seed_of(3, "x"))).bit_generator.random_raw(3)
    assert Draws(3, "x").below([10, 10**6, 1]) == [
        int(b) * n // 2**64 for b, n in zip(bits, [10, 10**6, 1], strict=True)
    ]


@given(parts, parts)
def test_different_parts_give_different_seeds(a: list[int | str], b: list[int | str]) -> None:
    assert (seed_of(*a) == seed_of(*b)) == ([(type(x), x) for x in a] == [(type(x), x) for x in b])


def test_numpy_integers_are_integers() -> None:
    assert seed_of(np.int64(5)) == seed_of(5)


@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(0, 40), st.integers(0, 40))
def test_shuffle_takes_different_numbers_and_a_prefix_stays(seed: int, size: int, few: int, more: int) -> None:
    few, more = min(few, size), min(more, size)
    taken = Shuffle(Draws(seed)).take(max(few, more), size)
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(range(size))
    assert Shuffle(Draws(seed)).take(min(few, more), size) == taken[: min(few, more)]


@given(st.integers(0, 2**40), st.integers(0, 20), st.integers(0, 20))
def test_shuffle_may_grow(seed: int, first: int, grown: int) -> None:
    shuffle = Shuffle(Draws(seed))
    early = shuffle.take(first // 2, first)
    late = shuffle.take(first + grown - len(early), first + grown)
    assert all(number < first for number in early)
    assert sorted(early + late) == list(range(first + grown))


def test_shuffle_is_uniform() -> None:
    counts = np.zeros((4, 4))
    for seed in range(6000):
        for place, number in enumerate(Shuffle(Draws(seed)).take(4, 4)):
            counts[place, number] += 1
    # each cell is binomial(6000, 1/4): standard deviation 33.5
    assert abs(counts - 1500).max() < 5 * 33.5


def test_uniform_is_between_0_and_1() -> None:
    draws = Draws(0)
    values = [draws.uniform() for _ in range(4000)]
    assert 0 <= min(values) < 0.01 < 0.99 < max(values) < 1
    assert abs(np.mean(values) - 0.5) < 5 / np.sqrt(12 * 4000)
