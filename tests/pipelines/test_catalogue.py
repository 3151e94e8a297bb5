"""A catalogue is filled where it was empty, and nowhere else; polib reads the result as a judge of its own."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanlp.errors import UserError
from metanlp.pipelines.catalogue import Catalogue, Filled
from metanlp.pipelines.translation import Translation

HEADER = r"""# Somebody's catalogue.
msgid ""
msgstr ""
"Project-Id-Version: x\n"
"Language: ru\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 ? 1 : 2);\n"

"""
ENTRIES = r"""#: a.py:1   # odd    spacing stays
#, python-format
msgid "Delete %(count)d items"
msgstr "Удалить %(count)d"

#  a comment
msgid "Open   it"
msgstr ""

#: b.py:7
#, python-format
msgctxt "menu"
msgid ""
"The first line of %(name)s, which is quite long as lines in catalogues go,\n"
"and the second\n"
msgstr ""

#, fuzzy
#| msgid "Old"
msgid "New"
msgstr "Ново"

#, fuzzy
msgid "Newer"
msgstr ""

#, python-format
msgid "%d file"
msgid_plural "%d files"
msgstr[0] ""
msgstr[1] ""
msgstr[2] ""

msgid "One item"
msgid_plural "%d items"
msgstr[0] "Одна"
msgstr[1] ""
msgstr[2] ""

msgid "Yes"
msgstr ""
"Д"
"а"

#| msgid "Before"
msgid "_After \"that\""
msgstr ""

msgid "%s: %s"
msgstr ""

#~ msgid "Gone"
#~ msgstr ""
"""
SPELL = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувщхыз")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, encoding: str = "utf-8", end: str = "\n") -> Path:
        path = tmp_path / "ru.po"
        path.write_bytes(text.replace("\n", end).encode(encoding))
        return path

    return write


def spelt(catalogue: Catalogue) -> Filled:
    """Filled with the source in Cyrillic letters."""
    return catalogue.fill([Translation(gap.masked.text.lower().translate(SPELL)) for gap in catalogue.gaps])


def changes(before: bytes, after: bytes) -> list[str]:
    """The lines that a diff shows, with their signs."""
    lines = [each.decode().split("\n") for each in (before, after)]
    return [f"{line[0]} {line[1:]}" for line in list(difflib.unified_diff(*lines, n=0))[2:] if line[0] in "+-"]


def test_what_is_learnt_and_what_is_asked(write) -> None:
    catalogue = Catalogue(write(HEADER + ENTRIES))
    assert [(each.source, each.target) for each in catalogue.examples] == [
        ("Delete [1] items", "Удалить [1]"),
        ("Yes", "Да"),
    ]
    assert [gap.masked.text for gap in catalogue.gaps] == [
        "Open   it",
        "The first line of [1], which is quite long as lines in catalogues go,[2]and the second",
        *["[1] files"] * 3,
        'After "that"',
        "[1]: [2]",
    ]
    assert catalogue.info == {"target_language": "ru"}


def test_a_diff_shows_the_filled_entries_alone(write) -> None:
    path = write(HEADER + ENTRIES)
    catalogue = Catalogue(path)
    done = spelt(catalogue)
    assert (len(done.entries), done.left, done.with_placeholders, done.survived) == (5, [], 3, 3)
    assert changes(path.read_bytes(), catalogue.file.content()) == [
        "+ #, fuzzy",
        '- msgstr ""',
        '+ msgstr "опен   ит"',
        "- #, python-format",
        "+ #, fuzzy, python-format",
        '+ "тхе фирст лине оф %(name)s, щхицх ис яуите лонг ас линес ин цаталогуес го,\\n"',
        '+ "анд тхе сецонд\\n"',
        "- #, python-format",
        "+ #, fuzzy, python-format",
        '- msgstr[0] ""',
        '- msgstr[1] ""',
        '- msgstr[2] ""',
        '+ msgstr[0] "%d филес"',
        '+ msgstr[1] "%d филес"',
        '+ msgstr[2] "%d филес"',
        "+ #, fuzzy",
        '- msgstr ""',
        '+ msgstr "_афтер \\"тхат\\""',
        "+ #, fuzzy",
        '- msgstr ""',
        '+ msgstr "%s: %s"',
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_another_reader_finds_the_same_but_for_them(write, end: str) -> None:
    path = write(HEADER + ENTRIES, end=end)
    catalogue = Catalogue(path)
    filled = spelt(catalogue).entries
    before = polib.pofile(str(path))
    path.write_bytes(catalogue.file.content())
    after = polib.pofile(str(path))
    assert after.metadata == before.metadata
    assert len(after) == len(before)
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if number in filled:
            assert new.fuzzy
            assert new.msgstr or all(new.msgstr_plural.values())
            new.flags.remove("fuzzy")
            new.msgstr, new.msgstr_plural = old.msgstr, old.msgstr_plural
        assert (str(new), new.flags) == (str(old), old.flags)
    assert path.read_bytes().count(b"\r") == (path.read_bytes().count(b"\n") if end == "\r\n" else 0)
    assert Catalogue(path).gaps == []


def test_an_entry_that_loses_something_stays_empty_and_is_listed(write) -> None:
    path = write(HEADER + ENTRIES)
    catalogue = Catalogue(path)
    texts = ["", "без", "[1] файл", "файла", "[1] файлов", "После", "[1]: [2]"]
    done = catalogue.fill([Translation(text, cut=text == "После") for text in texts])
    assert len(done.entries) == 1
    assert [(left.line, left.text[:8], left.reason) for left in done.left] == [
        (14, "Open   i", "the model wrote nothing"),
        (18, "The firs", "'%(name)s' is lost"),
        (35, "%d file", "'%d' is lost"),
        (53, '_After "', "it is longer than the model reads"),
    ]
    assert (done.with_placeholders, done.survived) == (3, 1)
    assert [line for line in changes(path.read_bytes(), catalogue.file.content()) if line[0] == "-"] == ['- msgstr ""']


def test_plural_forms_follow_the_header(write) -> None:
    def sources(plurals: str, forms: int) -> list[str]:
        strings = "".join(f'msgstr[{form}] ""\n' for form in range(forms))
        text = HEADER.replace(HEADER[HEADER.index("Plural-Forms") : HEADER.rindex("\\n")], plurals)
        path = write(f'{text}msgid "One"\nmsgid_plural "Many"\n{strings}')
        return [gap.masked.text for gap in Catalogue(path).gaps]

    assert sources("Plural-Forms: nplurals=2; plural=(n != 1);", 2) == ["One", "Many"]
    assert sources("Plural-Forms: nplurals=2; plural=n > 1;", 2) == ["Many", "Many"]  # the first is of none, too
    assert sources("Plural-Forms: nplurals=1; plural=0;", 1) == ["Many"]
    assert sources("Plural-Forms: nplurals=3; plural=n==1 ? 0 : n==2 ? 1 : 2;", 3) == ["One", "Many", "Many"]
    assert sources("X-Nothing: said", 2) == ["One", "Many"]
    assert sources("Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;", 2) == ["One", "Many"]
    with pytest.raises(UserError, match="Plural-Forms of its header is no formula"):
        sources("Plural-Forms: nplurals=2; plural=n +* 1;", 2)


def test_other_encodings_are_kept_and_respected(write) -> None:
    text = (
        HEADER.replace("UTF-8", "ISO-8859-5")
        + 'msgid "Yes"\nmsgstr "Да"\n\nmsgid "No"\nmsgstr ""\n\nmsgid "Or"\nmsgstr ""'
    )
    catalogue = Catalogue(write(text, encoding="iso-8859-5"))
    done = catalogue.fill([Translation("Нет"), Translation("或")])
    assert [left.reason for left in done.left] == ["its translation cannot be written in ISO-8859-5"]
    after = catalogue.file.content().decode("iso-8859-5")
    assert after == text.replace('msgid "No"\nmsgstr ""', '#, fuzzy\nmsgid "No"\nmsgstr "Нет"')


TEXT = st.lists(st.sampled_from([*'ab "\\n%s{}<b>é', "\n", "\t", "%(x)s", "word " * 9]), min_size=1, max_size=9).map(
    "".join
)


@given(st.lists(st.tuples(TEXT, st.booleans(), st.booleans()), max_size=6, unique_by=lambda each: each[0]))
def test_whatever_polib_writes_is_filled_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bool, bool]]
) -> None:
    """Its own source as the translation of every other entry, single or with two forms; the others keep what they have."""
    path, file = tmp_path_factory.mktemp("po") / "x.po", polib.POFile()
    file.metadata = {"Content-Type": "text/plain; charset=UTF-8", "Plural-Forms": "nplurals=2; plural=(n != 1);"}
    for text, empty, plural in entries:
        forms = {0: "", 1: ""} if empty else {0: "here", 1: "there"}
        only = {"msgstr_plural": forms, "msgid_plural": text + "s"} if plural else {"msgstr": forms[0]}
        file.append(polib.POEntry(msgid=text, comment="said" * plural, **only))
    file.save(str(path))
    catalogue = Catalogue(path)
    done = catalogue.fill([Translation(gap.masked.text) for gap in catalogue.gaps])
    assert done.left == []
    path.write_bytes(catalogue.file.content())
    for entry, (text, empty, plural) in zip(polib.pofile(str(path)), entries, strict=True):
        forms = {0: text, 1: text + "s"} if empty else {0: "here", 1: "there"}
        assert (entry.msgid, entry.fuzzy) == (text, empty)
        assert (entry.msgstr_plural if plural else entry.msgstr) == (forms if plural else forms[0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file"),
        (b'msgid "a"\nmsgstr "b\nmsgid', "is not a gettext catalogue"),
        (b'msgid "a\xff"\nmsgstr ""\n', "is not in utf-8, as its header says, at byte 8"),
    ],
)
def test_what_is_no_catalogue_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "x.po"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=says):
        Catalogue(path)
