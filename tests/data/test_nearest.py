from __future__ import annotations

import math

import pytest

from metanlp.data.nearest import Nearest

TEXTS = ["the cat sat", "a dog barked at the cat", "green tea", "the tea"]


def test_bm25_by_hand() -> None:
    """Runs of "ab": " ab" and "ab " (2); of "ab cd": these and " cd", "cd " (4). k1 1.2, b 0.75, mean length 3."""
    nearest = Nearest(["ab", "ab cd"])
    in_both, in_one = math.log(1 + 0.5 / 2.5), math.log(1 + 1.5 / 1.5)
    room = 1.2 * (1 - 0.75 + 0.75 * 4 / 3)
    runs = nearest.counts[1]
    assert runs.total() == 4
    assert nearest.weights[" ab"] == pytest.approx(in_both)
    assert nearest._score(runs, runs) == pytest.approx((2 * in_both + 2 * in_one) * 2.2 / (1 + room))


def test_what_is_the_most_alike_comes_first() -> None:
    nearest = Nearest(TEXTS)
    assert [nearest.ranked(text)[0] for text in TEXTS] == [0, 1, 2, 3]
    assert nearest.ranked("dogs")[0] == 1  # another form of a word
    assert nearest.ranked("GREEN")[0] == 2
    assert nearest.ranked("xyz") == [0, 1, 2, 3]  # of equals the first one first
    assert nearest.ranked("") == [0, 1, 2, 3]


def test_languages_without_spaces_and_very_short_texts() -> None:
    nearest = Nearest(["今日は雨です", "猫が好きです", "い", ""])
    assert nearest.ranked("猫が好き")[0] == 1
    assert nearest.ranked("い")[0] == 2
    assert Nearest([]).ranked("a") == []
    assert Nearest([""]).ranked("a") == [0]
