from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data_scripts import _output as output
from data_scripts import tatoeba
from data_scripts._common import Direction
from metanlp.errors import UserError

ROWS = [
    ("deu", "I am here.", "Ich bin  hier."),
    ("deu", "Go!", "Geh!"),
    ("deu", "Go!", "Los!"),
    ("deu", "Nothing", ""),
    ("deu", "Mist", "tobeiz"),
    ("bre", "go", "ke"),
    ("bre", "Fog", "tobeiz"),
    ("bre", "I am here", "Emaon amañ"),
    ("cym", "Rain", "glaw"),
    ("cym", "Sun", "haul"),
    ("cym", "Wind", "gwynt"),
    ("cym", "Fog!", "niwl"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "tatoeba112.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def as_set(rows: list[dict[str, str]]) -> set[tuple[str, str, str]]:
    return {(row["source"], row["target"], row["pool"]) for row in rows}


def test_a_small_copy(copy: Path, tmp_path: Path, read: Callable, check: Callable) -> None:
    built = tatoeba.build(copy, Direction.TO_ENGLISH, 0)
    output.finish(built, tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    # "Fog" is all that Breton has and German has not; German's "tobeiz" is then its answer's source
    assert as_set(tasks["train"]["deu"]) == {("Ich bin hier.", "I am here.", ""), ("Geh!", "Go!", "")}
    assert as_set(tasks["test"]["bre"]) == {
        ("ke", "go", "support"),
        ("tobeiz", "Fog", "query"),
        ("Emaon amañ", "I am here", "support"),
    }
    welsh = {row["target"]: row["pool"] for row in tasks["valid"]["cym"]}
    assert welsh.pop("Fog!") == "support"
    assert sorted(welsh.values()) == ["query", "support", "support"]
    assert {reason: count for reason, count in built.dropped.items() if count} == {
        "pairs with an empty side": 1,
        "further translations of a sentence": 1,
        "training rows with a text of a query": 1,
    }
    assert built.info["bre"] == {"source_language": "bre", "target_language": "eng", "language": "Breton"}


def test_from_english(copy: Path) -> None:
    built = tatoeba.build(copy, Direction.FROM_ENGLISH, 0)
    assert {(row.source, row.target) for row in built.tasks["train"]["deu"]} == {
        ("I am here.", "Ich bin hier."),
        ("Go!", "Geh!"),
    }
    assert built.info["deu"]["source_language"] == "eng"


def test_home_gives_what_the_copy_gives(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "main.zip", "w") as archive:
        archive.writestr("LASER-main/README.md", "#")
        for code in ("deu", "bre", "cym"):
            for side, column in (("eng", 1), (code, 2)):
                text = "".join(row[column] + "\n" for row in ROWS if row[0] == code)
                archive.writestr(f"LASER-main/data/tatoeba/v1/tatoeba.{code}-eng.{side}", text)
    expected = tatoeba.build(copy, Direction.TO_ENGLISH, 0)
    assert tatoeba.build(tmp_path / "main.zip", Direction.TO_ENGLISH, 0) == expected
    monkeypatch.setattr(tatoeba, "HOME", (tmp_path / "main.zip").as_uri())
    assert tatoeba.build(None, Direction.TO_ENGLISH, 0) == expected


def test_sides_of_different_length_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "main.zip", "w") as archive:
        archive.writestr("LASER-main/data/tatoeba/v1/tatoeba.deu-eng.eng", "a\nb\n")
        archive.writestr("LASER-main/data/tatoeba/v1/tatoeba.deu-eng.deu", "a\n")
    with pytest.raises(UserError, match="2 lines in English, 1 in deu"):
        tatoeba.build(tmp_path / "main.zip", Direction.TO_ENGLISH, 0)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("x", "")
    with pytest.raises(UserError, match=r"has no data/tatoeba/v1"):
        tatoeba.build(tmp_path / "other.zip", Direction.TO_ENGLISH, 0)


def test_the_real_data(shared: Path, tmp_path: Path, read: Callable, check: Callable, counts: Callable) -> None:
    output.finish(tatoeba.build(shared, Direction.TO_ENGLISH, 0), tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    assert counts(tasks) == {
        "train": (82, 72_156, 0),
        "valid": (10, 4_964, 1_489),
        "test": (20, 11_757, 3_529),
    }
    plain = {row["target"].lower().rstrip(".!?") for rows in tasks["train"].values() for row in rows}
    asked = [row for rows in tasks["test"].values() for row in rows if row["pool"] == "query"]
    assert not [row for row in asked if row["target"].lower().rstrip(".!?") in plain]


def test_flores_codes_name_languages_and_leave_out_unknown_ones(tmp_path: Path) -> None:
    copy = tmp_path / "tatoeba112.tsv"
    rows = [(code, f"Sentence {n}.", f"{code} {n}") for code in ("mon", "tzl", "amh") for n in range(8)]
    copy.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    collection = tatoeba.build(copy, Direction.TO_ENGLISH, 0, flores=True)
    assert collection.info["mon"]["source_language"] == "khk_Cyrl"
    assert collection.info["amh"] == {
        "source_language": "amh_Ethi",
        "target_language": "eng_Latn",
        "language": "Amharic",
    }
    assert collection.dropped["pairs of languages that FLORES-200 lacks"] == 8
    assert "tzl" not in collection.info
