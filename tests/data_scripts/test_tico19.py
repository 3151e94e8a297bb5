from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from data_scripts import _output as output
from data_scripts import tico19
from data_scripts._common import Direction, part_of
from metanlp.errors import UserError

CODES = ("fr", "so", "ha", "nus")
ENGLISH = [f"sentence number {number}" for number in range(60)]


def other(code: str, number: int) -> str:
    return f"{code} {number}"


def copy(folder: Path, **changed: str) -> Path:
    rows = [[code, str(i), changed.get(f"{code}{i}", ENGLISH[i]), other(code, i)] for code in CODES for i in range(60)]
    path = folder / "tico19.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_small_copy(tmp_path: Path, read: Callable, check: Callable) -> None:
    built = tico19.build(copy(tmp_path), Direction.TO_ENGLISH, 0)
    output.finish(built, tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    parts = [part_of(0, sentence) for sentence in ENGLISH]
    assert set(parts) == {"train", "valid", "test"}
    assert {split: list(names) for split, names in tasks.items()} == {
        "train": ["fr"],
        "valid": ["ha"],
        "test": ["so"],
    }
    for split, code in (("train", "fr"), ("valid", "ha"), ("test", "so")):
        expected = {(str(i), other(code, i), ENGLISH[i], "support") for i in range(60) if parts[i] == "train"}
        if split == "train":
            expected = {(*row[:3], "") for row in expected}
        else:
            expected |= {(str(i), other(code, i), ENGLISH[i], "query") for i in range(60) if parts[i] == split}
        assert {(r["id"], r["source"], r["target"], r["pool"]) for r in tasks[split][code]} == expected
    assert built.dropped["rows, task nus: a broken font encoding"] == 60


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"He said ""no"""', 'He said "no"'),
        ('"no"', '"no"'),
        ('"a" or "b"', '"a" or "b"'),
        ('"""CoV"" is"', '"CoV" is'),
        ("&lt; 5 &amp;  6", "< 5 & 6"),
        ('""', '""'),
    ],
)
def test_cells(cell: str, text: str) -> None:
    assert tico19.plain(cell) == text


def test_another_wording_of_a_sentence_stays_in_its_part(tmp_path: Path, check: Callable, read: Callable) -> None:
    number = next(i for i in range(60) if part_of(0, ENGLISH[i]) == "test")
    given = copy(tmp_path, **{f"so{number}": "quite other words"})
    output.finish(tico19.build(given, Direction.TO_ENGLISH, 0), tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    (row,) = (row for row in tasks["test"]["so"] if row["id"] == str(number))
    assert (row["target"], row["pool"]) == ("quite other words", "query")


def test_a_shifted_file_is_refused(tmp_path: Path) -> None:
    given = copy(tmp_path, **{f"so{i}": ENGLISH[i - 1] for i in range(60)})
    with pytest.raises(UserError, match="so: the English sentences are not those of the other languages"):
        tico19.build(given, Direction.TO_ENGLISH, 0)


def test_home_gives_what_the_copy_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = "sourceLang\ttargetLang\tsourceString\ttargetString\tstringID\turl\tlicense\ttranslatorId\n"
    with zipfile.ZipFile(tmp_path / "testset.zip", "w") as archive:
        for code in CODES:
            for part, numbers in (("dev", range(20)), ("test", range(20, 60))):
                lines = [f"en\t{code}\t{ENGLISH[i]}\t{other(code, i)}\tx:{i}\tu\tl\tt\r\n" for i in numbers]
                archive.writestr(f"tico19-testset/{part}/{part}.en-{code}.tsv", header + "".join(lines))
                archive.writestr(f"__MACOSX/tico19-testset/{part}/{part}.en-{code}.tsv", "junk")
    expected = tico19.build(copy(tmp_path), Direction.FROM_ENGLISH, 0)
    assert tico19.build(tmp_path / "testset.zip", Direction.FROM_ENGLISH, 0) == expected
    monkeypatch.setattr(tico19, "HOME", (tmp_path / "testset.zip").as_uri())
    assert tico19.build(None, Direction.FROM_ENGLISH, 0) == expected


def test_the_real_data(shared: Path, tmp_path: Path, read: Callable, check: Callable, counts: Callable) -> None:
    output.finish(tico19.build(shared, Direction.TO_ENGLISH, 0), tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks)
    assert counts(tasks) == {
        "train": (24, 59_443, 0),
        "valid": (4, 11_000, 1_092),
        "test": (8, 22_384, 2_568),
    }
    assert "nus" not in {name for split in tasks.values() for name in split}
