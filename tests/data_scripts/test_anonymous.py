"""Names and addresses in texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_scripts._anonymous import Anonymous

words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), min_size=1, max_size=30).map(
    str.strip
)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Ann, ask ann smith or Smith's dog; Anna stays", "[name], ask [name] or [name]'s dog; Anna stays"),
        ("hello @bob.b and @\u2068Ann Smith\u2069!", "hello [name] and [name]!"),
        ("see https://example.org/?q=1 or www.example.org or example.org/path", "see [link] or [link] or [link]"),
        ("write to ann.smith@example.co.uk", "write to [e-mail]"),
        ("call +44 (0)7700 900-123 or 030/1234567, in 2023, 12:30", "call [number] or [number], in 2023, 12:30"),
        ("田中さん、こんにちは", "[name]さん、こんにちは"),
        ("1, 2, 3, 42 and 1000", "1, 2, 3, 42 and 1000"),
        ("a.b. Ok... e.g. this/that", "a.b. Ok... e.g. this/that"),
    ],
)
def test_names_and_addresses_are_replaced(text: str, hidden: str) -> None:
    assert Anonymous(["Ann Smith", "田中"])(text) == hidden


@pytest.mark.parametrize(
    ("name", "text", "hidden"),
    [
        ("The Boss", "ask the boss, the one with the dog", "ask [name], the one with the dog"),
        ("Max from work", "is Max at work, from nine?", "is [name] at work, from nine?"),
        ("Tante Rosa und Jo", "Tante, Rosa und der Hund", "Tante, [name] und der Hund"),
        ("María de los Ángeles", "los dos, maría y ángeles", "los dos, [name] y [name]"),
        ("Vincent van Gogh", "gogh of van", "[name] of van"),
        ("ann_smith99 the 2nd", "Ann, the Smith", "[name], the [name]"),
        ("Ann smith", "mrs smith", "mrs [name]"),  # a part without a capital may be a name as well
        ("Anna-maria Kowalski", "maria", "[name]"),
        ("Tom O'neill", "Neill?", "[name]?"),
        ("With", "come with me", "come [name] me"),  # a whole name is a name
    ],
)
def test_words_in_names_stay_words(name: str, text: str, hidden: str) -> None:
    assert Anonymous([name])(text) == hidden


@settings(max_examples=80, deadline=None)
@given(names=st.lists(st.text(st.characters(categories=["L"]), min_size=3, max_size=8), min_size=1), text=words)
def test_no_name_is_left(names: list[str], text: str) -> None:
    hide = Anonymous(names)
    hidden = hide(f"{text} {' '.join(names)} {text}").replace("[name]", "")
    assert not set(hidden.split()) & set(names)
    assert hide.replaced["[name]"] >= 1
