"""Randomness that is a function of names and numbers alone: without state, the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def seed_of(*parts: int | str) -> int:
    """A 64-bit seed for this purpose: `seed_of(seed, "dropout", step, episode)`.

    The parts are told apart by kind and length, so ("ab", "c"), ("a", "bc") and (1,), ("1",) give different
    seeds.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        kind = "s" if isinstance(part, str) else "i"
        text = (part if isinstance(part, str) else str(int(part))).encode()
        digest.update(f"{kind}{len(text)}:".encode() + text)
    return int.from_bytes(digest.digest(), "big")


class Draws:
    """Random numbers for one purpose, one after another.

    They are made of Philox's raw bits by arithmetic of our own: NumPy keeps the bits the same from version to
    version, but not what its `Generator` makes of them.
    """

    def __init__(self, *parts: int | str) -> None:
        self._bits = np.random.Philox(key=seed_of(*parts))

    def uniform(self) -> float:
        """From 0 up to, not including, 1."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def below(self, limits: Sequence[int]) -> list[int]:
        """For every limit a whole number from 0 up to, not including, it."""
        return [(raw * limit) >> 64 for raw, limit in zip(self.raw(len(limits)).tolist(), limits, strict=True)]

    def raw(self, count: int) -> np.ndarray:
        """(count,) 64 random bits each."""
        return self._bits.random_raw(count)


class Shuffle:
    """A random order of 0, 1, 2 ... found out one position at a time.

    Drawing k of n costs k, not n, and does not depend on how many more are drawn after them: the first 4 of
    16 are the 4 (Fisher and Yates' shuffle, remembering only the positions that moved).
    """

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._moved: dict[int, int] = {}
        self._taken = 0

    def take(self, count: int, below: int) -> list[int]:
        """The next `count` of the numbers under `below` that were not taken yet; `below` may only grow."""
        first = self._taken
        offsets = self._draws.below([below - place for place in range(first, first + count)])
        taken = []
        for place, offset in enumerate(offsets, start=first):
            chosen = place + offset
            taken.append(self._moved.get(chosen, chosen))
            self._moved[chosen] = self._moved.get(place, place)
        self._taken += count
        return taken
