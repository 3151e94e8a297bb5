from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_scripts import _output as output
from data_scripts import sib200
from metanlp.errors import UserError

PARTS = {"train": ["1", "2"], "dev": ["3"], "test": ["4", "5"]}
CODES = ("deu_Latn", "ace_Arab", "ace_Latn", "yor_Latn")
ROWS = [
    [code, part, number, "sports" if number in "135" else "travel", f"{code}  text {number}"]
    for code in CODES
    for part, numbers in PARTS.items()
    for number in numbers
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "sib200.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_a_small_copy(copy: Path, tmp_path: Path, read: Callable, check: Callable) -> None:
    built = sib200.build(copy, 0)
    output.finish(built, tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks, ("source", "id"))
    assert {split: list(names) for split, names in tasks.items()} == {
        "train": ["deu_Latn"],
        "valid": ["yor_Latn"],
        "test": ["ace_Arab", "ace_Latn"],
    }
    pools = {
        split: {(row["id"], row["pool"]) for rows in names.values() for row in rows} for split, names in tasks.items()
    }
    support = {("1", "support"), ("2", "support")}
    assert pools == {
        "train": {("1", ""), ("2", "")},
        "valid": support | {("3", "query")},
        "test": support | {("4", "query"), ("5", "query")},
    }
    first = {row["id"]: row for row in tasks["test"]["ace_Arab"]}["4"]
    assert (first["source"], first["target"]) == ("ace_Arab text 4", "travel")
    assert built.info["ace_Arab"] == {"text_language": "ace_Arab", "language": "Acehnese"}


def test_the_hub_gives_what_the_copy_gives(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in CODES:
        for part in PARTS:
            path = tmp_path / "hub" / "data" / code / f"{part}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [row[2:] for row in ROWS if row[:2] == [code, part]]
            lines = ["\t".join(row) + "\n" for row in (["index_id", "category", "text"], *rows)]
            path.write_text("".join(lines), encoding="utf-8")

    def snapshot_download(name: str, **options: object) -> str:
        assert (name, options) == (
            "Davlan/sib200",
            {"repo_type": "dataset", "allow_patterns": "data/*/*.tsv"},
        )
        return str(tmp_path / "hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert sib200.build(None, 0) == sib200.build(copy, 0)
    assert sib200.build(tmp_path / "hub", 0) == sib200.build(copy, 0)
    (tmp_path / "hub" / "data" / "deu_Latn" / "dev.tsv").write_text("id\ttopic\ttext\n")
    with pytest.raises(UserError, match=r"deu_Latn/dev\.tsv: the first line is not"):
        sib200.build(None, 0)


def test_without_a_network_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nlong story")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(UserError, match=r"cannot be had from the Hub \(no route\); .*--from"):
        sib200.build(None, 0)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sib200.tsv").write_text("deu_Latn\tdevtest\t1\tsports\tText\n")
    with pytest.raises(UserError, match="part 'devtest' is none of train, dev"):
        sib200.build(tmp_path, 0)


def test_the_real_data(shared: Path, tmp_path: Path, read: Callable, check: Callable, counts: Callable) -> None:
    output.finish(sib200.build(shared, 0), tmp_path / "out")
    tasks = read(tmp_path / "out")
    check(tasks, ("source", "id"))
    assert counts(tasks) == {
        "train": (167, 117_059, 0),
        "valid": (13, 10_398, 1_287),
        "test": (25, 22_621, 5_098),
    }
    topics = {row["target"] for split in tasks.values() for rows in split.values() for row in rows}
    assert len(topics) == 7
