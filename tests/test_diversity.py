from __future__ import annotations

import pytest

from metanlp.diversity import distinct
from metanlp.metrics import score


def test_distinct_by_hand() -> None:
    """8 words in all: i am here . you and it (7 different); pairs: i-am am-here here-. you-and and-i i-am: 5 different."""
    texts = ["I am here.", "you and i", "it"]
    assert distinct("distinct-1", texts) == pytest.approx(100 * 7 / 8)
    assert distinct("distinct-2", ["I am here.", "you and i am"]) == pytest.approx(100 * 5 / 8)
    assert distinct("distinct-2", ["a b a b"]) == pytest.approx(100 * 2 / 4)


def test_pairs_do_not_reach_over_texts_and_nothing_is_0() -> None:
    assert distinct("distinct-2", ["a", "b"]) == 0
    assert distinct("distinct-1", ["", " "]) == 0


def test_a_score_has_a_signature_of_its_own() -> None:
    scored = score("distinct-1", ["a b", "a"], ["x", "y"])
    assert scored.value == pytest.approx(100 * 2 / 3)
    assert scored.signature.startswith("distinct-1|case:lower|")
