from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data_scripts import _output as output
from data_scripts import udhr
from data_scripts._common import Direction
from metanlp.errors import UserError

DOCUMENTS = {
    "deu_1901": "deu",
    "deu_1996": "deu",
    "042": "spa",
    "spa": "spa",
    "zul": "zul",
    "cym": "cym",
    "013": "und",
}


def paragraphs(document: str) -> dict[str, tuple[str, str]]:
    """30 articles of one paragraph, the second of two (which Welsh runs together)."""
    keys = ["2.2.0", "2.2.1"] + [f"{number}.1.0" for number in range(1, 31) if number != 2]
    if document == "cym":
        keys = keys[2:]
    return {key: (f"article {key}", f"{document} {key}") for key in keys}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    rows = [[d, iso, key, *pair] for d, iso in sorted(DOCUMENTS.items()) for key, pair in paragraphs(d).items()]
    path = tmp_path / "udhr.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_small_copy(copy: Path, tmp_path: Path, read: Callable, check: Callable) -> None:
    built = udhr.build(copy, Direction.TO_ENGLISH, 1, 0)
    output.finish(built, tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    assert {split: list(names) for split, names in tasks.items()} == {
        "train": ["deu", "spa"],
        "valid": ["cym"],
        "test": ["zul"],
    }
    articles = {
        (split, pool): {
            row["id"].split(".")[0] for rows in tasks[split].values() for row in rows if row["pool"] == pool
        }
        for split, pool in (
            ("train", ""),
            ("valid", "support"),
            ("valid", "query"),
            ("test", "support"),
            ("test", "query"),
        )
    }
    # Welsh has no article 2 that matches, and this seed asks article 2 of validation languages
    assert [len(articles[split, "query"] - {"2"}) for split in ("valid", "test")] == [3, 6]
    assert articles["train", ""] == articles["test", "support"] == articles["valid", "support"]
    asked = articles["valid", "query"] | articles["test", "query"]
    assert asked | articles["train", ""] == {str(number) for number in range(1, 31)} - {"2"}
    assert {row["source"].split()[0] for row in tasks["train"]["deu"]} == {"deu_1996"}
    assert {row["source"].split()[0] for row in tasks["train"]["spa"]} == {"spa"}
    assert built.info["deu"] == {
        "source_language": "deu",
        "target_language": "eng",
        "language": "German",
        "document": "deu_1996",
    }
    assert built.dropped["paragraphs in a language that no one has named (und)"] == 31
    assert built.dropped["paragraphs of further documents in a language"] == 62


def test_home_gives_what_the_copy_gives(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def xml(iso: str, texts: dict[str, str]) -> str:
        articles: dict[str, list[str]] = {}
        for key in sorted(texts, key=lambda key: [int(part) for part in key.split(".")]):
            articles.setdefault(key.split(".")[0], []).append(texts[key])
        body = "".join(
            f"<article number='{number}'><title>T</title>"
            + "".join(f"<orderedlist><listitem tag='1'><para>{t}\n</para></listitem></orderedlist>" for t in found)
            + "</article>"
            for number, found in articles.items()
        )
        start = f"<?xml version='1.0' encoding='UTF-8'?><udhr iso639-3='{iso}' xmlns='http://efele.net/udhr'>"
        return f"{start}<preamble><para>Whereas</para></preamble>{body}</udhr>"

    with zipfile.ZipFile(tmp_path / "main.zip", "w") as archive:
        archive.writestr("udhr-main/data/udhr/index.xml", "<udhrs/>")
        english = {key: pair[0] for key, pair in paragraphs("eng").items()}
        archive.writestr("udhr-main/data/udhr/udhr_eng.xml", xml("eng", english))
        for document, iso in DOCUMENTS.items():
            texts = {key: pair[1] for key, pair in paragraphs(document).items()}
            if document == "cym":
                texts["2.1.0"] = "run together"
            archive.writestr(f"udhr-main/data/udhr/udhr_{document}.xml", xml(iso, texts))
    expected = udhr.build(copy, Direction.TO_ENGLISH, 1, 0)
    assert udhr.build(tmp_path / "main.zip", Direction.TO_ENGLISH, 1, 0) == expected
    monkeypatch.setattr(udhr, "HOME", (tmp_path / "main.zip").as_uri())
    assert udhr.build(None, Direction.TO_ENGLISH, 1, 0) == expected


def test_a_zip_without_english_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "main.zip", "w") as archive:
        archive.writestr("udhr_deu.xml", "<udhr/>")
    with pytest.raises(UserError, match=r"no udhr_eng\.xml"):
        udhr.build(tmp_path / "main.zip", Direction.TO_ENGLISH, 1, 0)


def test_short_documents_stay_out(copy: Path) -> None:
    # a training language has 20 paragraphs here, Welsh 20 + 3, Zulu 20 + 6
    assert set(udhr.build(copy, Direction.TO_ENGLISH, 24, 0).info) == {"zul"}


def test_the_real_data(shared: Path, tmp_path: Path, read: Callable, check: Callable, counts: Callable) -> None:
    output.finish(udhr.build(shared, Direction.TO_ENGLISH, 20, 0), tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    assert counts(tasks) == {"train": (363, 10_846, 0), "valid": (20, 718, 118), "test": (40, 1_760, 560)}
