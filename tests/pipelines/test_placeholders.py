"""Masks come off as they went on, and a translation that lost something is not let through."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metanlp.pipelines._placeholders import Lost, mask, mask_both, placeholders, unmask

EXAMPLES = [  # a text; what the model reads of it
    ("Delete %(count)d items?", "Delete [1] items?"),
    ("%s of %d", "[1] of [2]"),
    ("%1$s of %2$s", "[1] of [2]"),
    ("%-10s|%05.2f|%lld|%@", "[1]|[2]|[3]|[4]"),
    ("100%% sure", "100[1] sure"),
    ("100% off", "100% off"),
    ("{} and {0} and {name!r:>10}", "[1] and [2] and [3]"),
    ("Hi ${name}, %{count} new", "Hi [1], [2] new"),
    ("{{ user }} left", "[1] left"),
    ("{n, plural, one {# item} other {{n} items}}!", "[1]!"),
    ('<b>%(name)s</b> is <a href="x?a=1&b=2">here</a>', "[1] is [2]here[3]"),
    ("a < b, a > b", "a < b, a > b"),
    ("<!-- do not\ntouch --> text<br/>end", "[1] text[2]end"),
    ("Terms &amp; conditions&nbsp;&#8212;", "Terms [1] conditions[2]"),
    ("See ``conf.py`` and :ref:`this <that>`.", "See [1] and [2]."),
    ("Go to https://example.org/a?b=%20c.", "Go to [1]."),
    ("One.\n  Two.\n", "One.[1]Two."),
    ("\n  Both ends\t\n", "Both ends"),
    ("Name:\tvalue", "Name:[1]value"),
    ("see [1] and %s", "see [1] and [2]"),
    ("&File", "File"),
    ("Save &As", "Save As"),
    ("E&xit", "Exit"),
    ("_Open %s", "Open [1]"),
    ("R&D at AT&T", "R&D at AT&T"),
    ("user_name is __all__", "user_name is __all__"),
    ("Fish && chips", "Fish [1] chips"),
    ("", ""),
    ("   ", ""),
    ("%s", "[1]"),
]
PARTS = [
    "%s",
    "%(a)s",
    "%%",
    "%",
    "{}",
    "{x}",
    "{",
    "}",
    "<b>",
    "</b>",
    "<",
    "&amp;",
    "&",
    "_",
    "[1]",
    "[",
    "]",
    "\n",
    " ",
]


@pytest.mark.parametrize(("text", "read"), EXAMPLES)
def test_what_a_model_reads(text: str, read: str) -> None:
    assert mask(text).text == read
    assert unmask(mask(text), read) == text


@given(st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=3)), max_size=12).map("".join))
@example("%s0[1]")
@example("&A&")
@example(" \n%s\n ")
def test_masking_and_unmasking_is_the_identity(text: str) -> None:
    masked = mask(text)
    assert unmask(masked, masked.text) == text
    assert placeholders(masked.text) == [f"[{number}]" for number in range(1, len(masked.kept) + 1)]


@given(st.lists(st.sampled_from([each for each, _ in EXAMPLES]), min_size=1, max_size=4).map(" ".join))
def test_texts_made_of_all_kinds(text: str) -> None:
    assert unmask(mask(text), mask(text).text) == text


@pytest.mark.parametrize(
    ("source", "translation", "says"),
    [
        ("Delete %(count)d items", "Lösche Sachen", r"'%\(count\)d' is lost"),
        ("Delete %(count)d items", "Lösche [1] [1]", r"'%\(count\)d' is there more than once"),
        ("Delete %(count)d items", "Lösche [1] oder [2]", "made up"),
        ("Delete", "Lösche [1]", "made up"),
        ("Delete %(count)d items", "Lösche [1] von %s", "made up"),
        ("Delete {n} items", "Lösche [1] }", "made up"),
        ("All of %(n)s", "100% von [1]", "made up"),
        ("%s has %d", "[2] hat [1]", "changed places"),
        ("{} has {}", "[2] hat [1]", "changed places"),
        ("<b>not</b> <i>so</i> bad", "[1]nicht[3]so[2] schlimm", "tags are closed in another order"),
        ("Delete", "  ", "wrote nothing"),
        ("&Open", "123", "no letter for the accelerator &O"),
    ],
)
def test_what_is_lost_is_told(source: str, translation: str, says: str) -> None:
    with pytest.raises(Lost, match=says):
        unmask(mask(source), translation)


@pytest.mark.parametrize(
    ("source", "translation", "whole"),
    [
        ("%(a)s has %(b)s", "[2] von [1]", "%(b)s von %(a)s"),
        ("%1$s has %2$s", "[2] von [1]", "%2$s von %1$s"),
        ("Press <b>OK</b><br>now", "Jetzt[3][1]OK[2]", None),
        ("\nOne\n", "Eins", "\nEins\n"),
        ("&Open", "Datei Öffnen", "&Datei Öffnen"),
        ("&File", "die Datei: Öffne File", "die Datei: Öffne &File"),
        ("_Save %s", "[1] speichern", "%s _speichern"),
        ("E&xit", "Sortie", "&Sortie"),
    ],
)
def test_what_may_move(source: str, translation: str, whole: str | None) -> None:
    if whole is None:
        with pytest.raises(Lost):
            unmask(mask(source), translation)
    else:
        assert unmask(mask(source), translation) == whole


@pytest.mark.parametrize(
    ("source", "target", "pair"),
    [
        ("Delete %(n)d", "%(n)d löschen", ("Delete [1]", "[1] löschen")),
        ("%s of %s", "%s von %s", ("[1] of [2]", "[1] von [2]")),
        ("<b>%(a)s</b> of %(b)s", "%(b)s: <b>%(a)s</b>", ("[1] of [2]", "[2]: [1]")),
        ("Delete %(n)d", "löschen", None),
        ("Delete", "%(n)d löschen", None),
        ("Delete %(n)d", "%(n)d und %s löschen", None),
        ("\nOne\n", "Eins", ("One", "Eins")),
        ("&File", "文件(&F)", ("File", "文件")),
        ("&File", "Da&tei", ("File", "Datei")),
        ("File", "", None),
        ("%s", "%s", ("[1]", "[1]")),
    ],
)
def test_pairs_to_learn_from_are_masked_alike(source: str, target: str, pair: tuple[str, str] | None) -> None:
    assert mask_both(source, target) == pair


@given(st.lists(st.sampled_from([*PARTS, "word ", "Wort"]), max_size=8).map("".join))
def test_a_text_is_its_own_translation(text: str) -> None:
    pair = mask_both(text, text)
    if pair is None:  # nothing to read, or a sign that is an accelerator only where its neighbours are masked
        return
    assert unmask(mask(text), pair[1]) == text
