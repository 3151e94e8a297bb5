"""Adapters in memory: whose, how many, and which go first."""

from __future__ import annotations

import pytest
import torch

from metanlp.chat.adapters import Adapters, Key
from metanlp.weights import Weights


def weights(number: float, size: int = 4) -> Weights:
    return {"w": torch.full((1, size), number)}


def never() -> Weights:
    raise AssertionError("it is in memory")


def test_the_key_is_person_adapter_and_base() -> None:
    adapters = Adapters()
    keys = [Key("a", "1", "x"), Key("b", "1", "x"), Key("a", "2", "x"), Key("a", "1", "y")]
    for number, key in enumerate(keys):
        adapters.get(key, lambda number=number: weights(number))
    assert [float(adapters.get(key, never)["w"][0, 0]) for key in keys] == [0, 1, 2, 3]
    assert adapters.forget("a") == 3
    assert [key in adapters for key in keys] == [False, True, False, False]


def test_those_asked_for_last_stay() -> None:
    adapters = Adapters(most=2)
    one, two, three = (Key(name, "", "") for name in "abc")
    adapters.get(one, lambda: weights(1.0))
    adapters.get(two, lambda: weights(2.0))
    adapters.get(one, never)
    adapters.get(three, lambda: weights(3.0))
    assert [key in adapters for key in (one, two, three)] == [True, False, True]


def test_bytes_are_a_limit_too_but_for_the_last() -> None:
    adapters = Adapters(most_bytes=40)  # two and a half of 16 bytes
    keys = [Key(name, "", "") for name in "abcd"]
    for key in keys[:3]:
        adapters.get(key, lambda: weights(0.0))
    assert [key in adapters for key in keys] == [False, True, True, False]
    adapters.get(keys[3], lambda: weights(0.0, size=100))
    assert len(adapters) == 1
    assert adapters.bytes == 400


def test_what_could_not_be_loaded_is_not_kept() -> None:
    adapters = Adapters()

    def broken() -> Weights:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        adapters.get(Key("a", "", ""), broken)
    assert len(adapters) == 0
