"""Merges against a count of all pairs at every step."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from metanlp.data.merges import SPACE, learn_merges, merged

letters = st.lists(st.sampled_from(["a", "b", "c", "ab", ","]), min_size=1, max_size=6)
words = st.dictionaries(
    st.tuples(st.sampled_from([[], [SPACE]]), letters).map(lambda both: tuple(both[0] + both[1])),
    st.integers(1, 4),
    min_size=1,
    max_size=8,
)
KNOWN = {"a", "b", "c", "ab", ",", SPACE}


def by_counting(words: dict, count: int) -> tuple[list, int]:
    """One merge at a time, all pairs counted anew."""
    now, merges, made = dict(words), [], set()
    while True:
        pairs: Counter = Counter()
        for word, times in now.items():
            for at in range(len(word) - 1):
                pairs[word[at], word[at + 1]] += times
        fit = [p for p in pairs if pairs[p] > 1 and "," not in "".join(p) and "".join(p) not in KNOWN]
        if not fit:
            break
        best = max(fit, key=lambda pair: (pairs[pair], pair))
        if len(made | {"".join(best)}) > count:
            break
        merges.append(best)
        made.add("".join(best))
        after: Counter = Counter()
        for word, times in now.items():
            after[merged(word, best)] += times
        now = dict(after)
    return merges, sum(len(word) * times for word, times in now.items())


@given(words=words, count=st.integers(0, 6))
@settings(max_examples=150, deadline=None)
def test_they_are_those_of_a_plain_count(words: dict, count: int) -> None:
    found = learn_merges(words, count, KNOWN)
    assert (found.pairs, found.pieces) == by_counting(words, count)
    assert len({"".join(pair) for pair in found.pairs}) <= count


@given(word=st.lists(st.sampled_from("ab"), max_size=9).map(tuple))
def test_a_word_keeps_its_letters(word: tuple) -> None:
    assert "".join(merged(word, ("a", "b"))) == "".join(word)
    assert ("a", "b") not in zip(merged(word, ("a", "b")), merged(word, ("a", "b"))[1:], strict=False)


def test_by_hand() -> None:
    found = learn_merges({(SPACE, "k", "a", "t"): 3, (SPACE, "k", "a", ","): 2, ("a", ","): 9}, 2, {SPACE, *"kat,"})
    assert found.pairs == [("▁", "k"), ("▁k", "a")]
    assert found.pieces == 3 * 2 + 2 * 2 + 9 * 2


def test_nothing_that_stands_together_once() -> None:
    assert learn_merges({("a", "b"): 1}, 5, {"a", "b"}).pairs == []


def test_unknown_pieces_are_no_parts() -> None:
    assert learn_merges({("a", "ж"): 9}, 5, {"a"}).pairs == []
