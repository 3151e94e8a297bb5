"""Sample outputs: which are chosen, and where they differ from the reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import make_results

from metanlp.report import samples
from metanlp.report.sentences import Piece, choose_samples, differences
from metanlp.results import Results


@pytest.mark.parametrize(
    ("text", "reference", "marked"),
    [
        ("a b c", "a b c", "a b c"),
        ("red blue green", "red pink green", "red [blue] green"),  # words unlike: whole
        ("seventyy two", "seventy two", "seventy[y] two"),  # words alike: by letters
        ("seventy tw", "seventy two", "seventy tw[]"),
        ("one three", "one two three", "one []three"),
        ("one two", "one", "one[ two]"),
        ("aha-kron-na", "aha-akron-na", "aha-[]kron-na"),
        ("", "one", "[]"),
        ("red blue green", "red two", "red [blue green]"),  # nothing but a space between them
        ("a blue green z", "a one two z", "a [blue green] z"),
        ("कमिता", "कमिति", "कमि[ता]"),  # a vowel sign stays with its letter
        ("नक्षत्र", "नक्रत्र", "न[क्ष]त्र"),  # and a conjunct in one piece
    ],
)
def test_differences_by_hand(text: str, reference: str, marked: str) -> None:
    pieces = differences(text, reference)
    assert "".join(piece.text if piece.kind == "same" else f"[{piece.text}]" for piece in pieces) == marked


@given(st.text("ab -é", max_size=12), st.text("ab -é", max_size=12))
def test_pieces_join_to_the_text(text: str, reference: str) -> None:
    pieces = differences(text, reference)
    assert "".join(piece.text for piece in pieces) == text
    assert all((piece.kind == "missing") == (piece.text == "") for piece in pieces)
    assert (text == reference) == all(piece.kind == "same" for piece in pieces)
    assert differences(text, text) == ([Piece("same", text)] if text else [])


def test_samples_are_right_and_wrong_in_turns() -> None:
    results = make_results(tasks=["aa", "bb", "cc"], seeds=[0, 1])
    chosen = choose_samples(results, 5)
    assert [(sample.task, sample.reference, sample.shots) for sample in chosen] == [
        ("aa", "aa ein mal", 64), ("aa", "aa drei", 64), ("bb", "bb ein mal", 64), ("bb", "bb drei", 64),
        ("cc", "cc ein mal", 64),
    ]  # fmt: skip
    rights = {(sample.reference, output.stage): output.right for sample in chosen for output in sample.outputs}
    assert rights["aa drei", "meta"]
    assert not rights["aa drei", "joint"]
    few = choose_samples(make_results(outputs={"meta": ["ein mal", "x"]}, tasks=list("abcdef")), 3)
    assert [(sample.task, sample.outputs[-1].right) for sample in few] == [
        ("a", True),
        ("c", False),
        ("e", True),
    ]
    assert len(choose_samples(results, 99)) == 6  # all there are
    assert choose_samples(make_results(tasks=["aa"]), 2)[0].source == "1"


def test_samples_as_text() -> None:
    expected = """\
Outputs after 64 examples; [brackets] differ from the reference, [] is missing

aa
  source       1
  reference    aa ein mal
  joint      ✓ aa ein mal
  meta       ✓ aa ein mal

bb
  source       3
  reference    bb drei
  joint      ✗ bb [zwei]
  meta       ✗ bb dr[x]i
"""
    outputs = {"joint": ["ein mal", "zwei"], "meta": ["ein mal", "drxi"]}
    assert samples(make_results(outputs=outputs), 2) == expected
    nasty = samples(make_results(outputs={"meta": ["\x1b[2J\nein", "\u0000"]}), 6)
    assert "\x1b" not in nasty
    assert "\x00" not in nasty
    assert "\ufffd" in nasty
    assert samples(Results("toy", "d", "test", make_results().rows, [], [], {}, {}), 6) == ""
