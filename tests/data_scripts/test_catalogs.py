from __future__ import annotations

import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from data_scripts import _output as output
from data_scripts import catalogs
from data_scripts._common import part_of
from metanlp.errors import UserError

babel = pytest.importorskip("babel", reason="pip install 'metanlp[catalogs]'")

HEADER = r"""msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

"""
MARKED = [
    ("%s items", "%s Dinge"),
    ("%(name)s is here", "%(name)s ist da"),
    ("Hello {name}", "Hallo {name}"),
    ("<b>Bold</b>", "<b>Fett</b>"),
    ("Fish &amp; chips", "Fisch &amp; Pommes"),
    ("Non&#160;break", "Ohne Bruch"),
    ("Clean English", "Platz für %d"),
    ("see :ref:`this`", "siehe :ref:`das`"),
]
ODD = """
#, fuzzy
msgid "Maybe"
msgstr "Vielleicht"

msgid "one apple"
msgid_plural "many apples"
msgstr[0] "ein Apfel"
msgstr[1] "viele Äpfel"

msgid "Untranslated"
msgstr ""

msgid "Email"
msgstr "Email"

msgid "…"
msgstr "..."

msgctxt "verb"
msgid "Open  the\\ndoor"
msgstr "Öffne die\\n Tür"

#~ msgid "Old"
#~ msgstr "Alt"
"""
WORDS = [f"Message {number}" for number in range(40)]


def po(folder: Path, package: str, locale: str, pairs: list[tuple[str, str]], odd: str = "") -> Path:
    path = folder / package / "locale" / locale / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    path.write_text(HEADER + "".join(f'msgid "{a}"\nmsgstr "{b}"\n\n' for a, b in pairs) + odd, encoding="utf-8")
    return path


def in_words(locale: str) -> list[tuple[str, str]]:
    return [(english, f"{locale} {english.split()[1]}") for english in WORDS]


def packages(folder: Path) -> dict[str, Path]:
    return dict.fromkeys(catalogs.PACKAGES, folder)


def test_small_catalogues(tmp_path: Path, read: Callable, check: Callable) -> None:
    po(tmp_path, "django", "de", in_words("de") + MARKED, ODD)
    po(tmp_path, "wagtail", "de_DE", [("Message 3", "anders"), ("Wagtail's own", "Wagtails eigenes")])
    po(tmp_path, "django", "ug", in_words("ug"))
    po(tmp_path, "django", "cy", in_words("cy"))
    po(tmp_path, "django", "en_GB", [("Color", "Colour")])
    built = catalogs.build(packages(tmp_path), 1, 0)
    output.finish(built, tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    parts = {english: part_of(0, english.lower(), 0.15) for english in WORDS}
    assert set(parts.values()) == {"train", "valid", "test"}
    extra = {("Open the door", "Öffne die Tür"), ("Wagtail's own", "Wagtails eigenes")}
    kept = {(a, b) for a, b in extra if part_of(0, re.sub(r"\W+", " ", a.lower()), 0.15) == "train"}
    assert kept
    for split, locale in (("train", "de"), ("valid", "cy"), ("test", "ug")):
        expected = {(a, b) for a, b in in_words(locale) if parts[a] in ("train", split)}
        expected |= kept if split == "train" else set()
        assert {(row["source"], row["target"]) for row in tasks[split][locale]} == expected
        asked = {row["source"] for row in tasks[split][locale] if row["pool"] == "query"}
        assert asked == (set() if split == "train" else {a for a in WORDS if parts[a] == split})
    assert {name for split in tasks.values() for name in split} == {"de", "cy", "ug"}
    dropped = {reason.removeprefix("messages, "): count for reason, count in built.dropped.items() if count}
    assert dropped.pop("rows whose sentence is asked in another split") > 0
    assert dropped == {
        "with placeholders or markup": len(MARKED),
        "with plural forms": 1,
        "fuzzy (not yet reviewed)": 1,
        "not translated": 1,
        "the same as in English": 1,
        "without a letter": 1,
        "obsolete": 1,
        "said before in another catalogue": 1,
        "messages in other kinds of English": 1,
    }
    assert built.info["ug"] == {"source_language": "en", "target_language": "ug", "language": "Uyghur"}


@pytest.mark.parametrize(("english", "other"), MARKED)
def test_a_placeholder_never_gets_in(english: str, other: str) -> None:
    assert catalogs.reason_against(english, other, False) == "with placeholders or markup"
    assert catalogs.reason_against("Plain", other, False) in ("", "with placeholders or markup")
    assert catalogs.reason_against(english, "%s", False) == "with placeholders or markup"


def test_compiled_catalogues_where_there_is_no_source(tmp_path: Path) -> None:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    path = po(tmp_path, "rest_framework", "de", in_words("de"))
    with path.open("rb") as source, path.with_suffix(".mo").open("wb") as compiled:
        write_mo(compiled, read_po(source))
    from_source = catalogs.build(packages(tmp_path), 1, 0)
    path.unlink()
    assert catalogs.build(packages(tmp_path), 1, 0) == from_source
    assert len(from_source.tasks["train"]["de"]) > 20


def test_variants_stand_on_the_same_side(tmp_path: Path) -> None:
    for locale in ("sr", "sr@latin", "sr_RS", "ug", "ug_CN", "pt_BR", "pt_PT", "pt", "zh_CN", "zh_Hans"):
        po(tmp_path, "django", locale, in_words(locale))
    built = catalogs.build(packages(tmp_path), 1, 0)
    assert sorted(built.tasks["train"]) == ["pt", "pt_BR", "sr", "sr_Latn", "zh_Hans"]
    assert sorted(built.tasks["test"]) == ["ug", "ug_CN"]
    assert not {name[:2] for name in catalogs.TEST} & {name[:2] for name in catalogs.VALID}


def test_nothing_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no gettext catalogue was found in"):
        catalogs.build(packages(tmp_path), 1, 0)


def test_a_torn_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "django" / "locale" / "de" / "LC_MESSAGES" / "django.mo"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xde\x12\x04\x95torn")
    with pytest.raises(UserError, match=r"django\.mo is not a gettext catalogue"):
        catalogs.build(packages(tmp_path), 1, 0)


def test_the_real_catalogues(tmp_path: Path, read: Callable, check: Callable) -> None:
    roots = {}
    for package in catalogs.PACKAGES:
        try:
            roots[package] = Path(str(metadata.distribution(package).locate_file("")))
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed (pip install 'metanlp[catalogs]')")
    built = catalogs.build(roots, 100, 0)
    output.finish(built, tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    assert len(tasks["train"]) >= 60
    assert set(tasks["test"]) == set(catalogs.TEST)
    assert set(tasks["valid"]) == set(catalogs.VALID)
    rows = [row for split in tasks.values() for rows in split.values() for row in rows]
    assert len(rows) > 60_000
    assert not [row for row in rows if set("%{}<>") & set(row["source"] + row["target"])]
    assert "BSD" in built.licence
    assert "Redistribution" in built.terms
