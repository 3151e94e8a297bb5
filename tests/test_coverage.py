"""Counts of what a tokenizer does to a text, against tokenizers of a line each."""

from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanlp.coverage import Coverage, coverage_of, crumbs, described, named, verdict

texts = st.lists(st.text(st.sampled_from("abéﬁ \u0301\u200d\u200cжя"), max_size=12), max_size=6)


def by_letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def spelt(ids: list[int]) -> str:
    return "".join(map(chr, ids))


@given(texts)
@settings(max_examples=60, deadline=None)
def test_letters_lose_nothing(given: list[str]) -> None:
    found = coverage_of(given, by_letters, spelt, None)
    assert (found.lost, found.altered, found.unknown) == (Counter(), Counter(), 0)
    assert found.pieces == sum(map(len, given))
    assert found.words == len(" ".join(given).split())
    assert found.characters == len("".join("".join(given).split()))
    assert found.decomposed == sum(unicodedata.normalize("NFC", text) != text for text in given)


@given(texts)
@settings(max_examples=60, deadline=None)
def test_what_is_left_out_is_lost(given: list[str]) -> None:
    """A tokenizer without joiners, and with an unknown piece for every Cyrillic letter."""

    def encode(text: str) -> list[int]:
        return [0 if letter in "жя" else ord(letter) for letter in text if letter not in "\u200c\u200d"]

    found = coverage_of(given, encode, lambda ids: spelt([each for each in ids if each]), 0)
    together = "".join(given)
    assert found.unknown == together.count("ж") + together.count("я")
    assert found.lost == +Counter({letter: together.count(letter) for letter in "жя\u200c\u200d"})
    assert not found.altered


@given(texts)
@settings(max_examples=60, deadline=None)
def test_normalising_is_no_loss(given: list[str]) -> None:
    found = coverage_of(given, lambda text: by_letters(unicodedata.normalize("NFKC", text)), spelt, None)
    assert not found.lost
    assert found.altered["ﬁ"] == "".join(given).count("ﬁ")


@given(texts, texts)
@settings(max_examples=40, deadline=None)
def test_parts_add_up(first: list[str], second: list[str]) -> None:
    encode = lambda text: by_letters(text.replace("a", ""))  # noqa: E731
    one, other = coverage_of(first, encode, spelt, 98), coverage_of(second, encode, spelt, 98)
    assert one + other == coverage_of([*first, *second], encode, spelt, 98)


def test_white_space_is_nobodys_loss() -> None:
    found = coverage_of([" a  b\t"], lambda text: by_letters("".join(text.split())), spelt, None)
    assert not found.lost
    assert not found.altered


def test_characters_are_named() -> None:
    assert named(Counter({"\u200d": 3, "ң": 1})) == (
        "3 x ZERO WIDTH JOINER (U+200D), 1 x ң CYRILLIC SMALL LETTER EN WITH DESCENDER (U+04A3)"
    )
    assert named(Counter("abcdefg"), 2).endswith("(U+0062), and 5 other characters")
    assert "combining" in named(Counter("\u0301")).lower()


def made(words: int = 100, pieces: int = 150, **more) -> Coverage:
    return Coverage(texts=10, words=words, characters=500, pieces=pieces, **more)


@pytest.mark.parametrize(
    ("found", "like", "reason", "after", "said"),
    [
        (made(), None, None, None, "fine: the tokenizer reads this language as it does others"),
        (
            made(unknown=15),
            None,
            None,
            None,
            "10.0% of the pieces are unknown, and no training mends that; `task.new_pieces: 9`",
        ),
        (made(unknown=15), None, "no room", None, "no training mends that; take ByT5"),
        (made(lost=Counter("\u200c" * 4)), None, None, None, "neither sees nor writes 4 x ZERO WIDTH NON-JOINER"),
        (made(pieces=410), None, None, 2.3, "in crumbs: `task.new_pieces: 9` would bring 4.1 -> 2.3 pieces a word"),
        (made(pieces=410), None, None, 4.0, "long: 4.1 pieces a word"),
        (made(pieces=410), made(pieces=300), None, 2.3, "fine"),
        (made(pieces=240), made(), None, 1.4, "would bring 2.4 -> 1.4 pieces a word"),
        (made(pieces=410), None, "ByT5 reads bytes", None, "long: 4.1 pieces a word.*max_length: ByT5 reads bytes"),
        (made(decomposed=5), None, None, None, r"fine, but .*\(NFC\)"),
    ],
)
def test_the_verdict(found, like, reason, after, said) -> None:
    import re

    sentence = verdict(found, like, reason, 9, after)
    assert re.search(said, sentence), sentence
    assert "\n" not in sentence


def test_a_script_without_spaces_is_judged_by_characters() -> None:
    assert not crumbs(Coverage(texts=1, words=2, characters=60, pieces=30), None)
    assert crumbs(Coverage(texts=1, words=2, characters=60, pieces=58), None)


def test_facts_name_what_they_compare_with() -> None:
    lines = list(described(made(), made(pieces=120), "kaz.txt"))
    assert lines[0] == "1.5 pieces a word (kaz.txt: 1.2), 3.3 characters a piece"
    assert len(lines) == 2
