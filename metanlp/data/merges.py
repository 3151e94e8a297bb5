"""Byte-pair encoding (Sennrich et al., 2016), carried on from where a tokenizer has stopped."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass

Word = tuple[str, ...]  # as a tokenizer cuts it

SPACE = "▁"  # what a piece begins with at the beginning of a word
FEWEST = 2  # times that a pair stands together
JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class Merges:
    """Pairs of pieces that become one, in order, and how many pieces the words then have."""

    pairs: list[tuple[str, str]]
    pieces: int


def learn_merges(words: Mapping[Word, int], count: int, known: Container[str]) -> Merges:
    """Merges that make at most `count` pieces of those that `words` are cut into, the most frequent neighbours first.

    `words` says how often each stands there, `known` which pieces there are: what a pair makes is none of them. Only letters
    and their marks are merged, so that no word takes along the comma that follows it.
    """
    cut, often = list(words), list(words.values())
    pairs: Counter[tuple[str, str]] = Counter()
    places: defaultdict[tuple[str, str], set[int]] = defaultdict(set)

    def count_pairs(at: int, sign: int) -> None:
        for pair in zip(cut[at], cut[at][1:], strict=False):
            pairs[pair] += sign * often[at]
            places[pair].add(at)

    for at in range(len(cut)):
        count_pairs(at, 1)
    merges: list[tuple[str, str]] = []
    made: set[str] = set()
    allowed: dict[tuple[str, str], bool] = {}
    while True:
        for pair in [pair for pair, times in pairs.items() if times < FEWEST]:
            del pairs[pair]
        for pair in pairs.keys() - allowed.keys():
            spelt = all(_is_spelt(piece) and (piece in known or piece in made) for piece in pair)
            allowed[pair] = spelt and "".join(pair) not in known
        best = max((pair for pair in pairs if allowed[pair]), key=lambda pair: (pairs[pair], pair), default=None)
        if best is None or len(made | {"".join(best)}) > count:
            break
        merges.append(best)
        made.add("".join(best))
        for at in places.pop(best):
            count_pairs(at, -1)
            cut[at] = merged(cut[at], best)
            count_pairs(at, 1)
    return Merges(merges, sum(len(word) * times for word, times in zip(cut, often, strict=True)))


def merged(word: Word, pair: tuple[str, str]) -> Word:
    """The word with every such pair of neighbours as one piece, from the left."""
    made: list[str] = []
    at = 0
    while at < len(word):
        both = word[at : at + 2] == pair
        made.append("".join(pair) if both else word[at])
        at += 2 if both else 1
    return tuple(made)


def _is_spelt(piece: str) -> bool:
    letters = piece.removeprefix(SPACE)
    return all(unicodedata.category(letter)[0] in "LM" or letter in JOINERS for letter in letters)
