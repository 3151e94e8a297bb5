from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_scripts import _output as output
from data_scripts._common import Collection, Row
from metanlp.config.yaml import read_yaml
from metanlp.errors import UserError


def norwegian() -> Collection:
    made = Collection("translation", "MIT", "All of it.", "somewhere", "thanks to no one", "python x.py")
    made.tasks["train"]["no"] = [Row('a "quoted" word', "ørret", "1"), Row("NA", "null", "2")]
    made.info["no"] = {"target_language": "no"}
    return made


def test_what_is_written(tmp_path: Path, read: Callable, capsys: pytest.CaptureFixture[str]) -> None:
    output.finish(norwegian(), tmp_path / "deep" / "out")
    folder = tmp_path / "deep" / "out"
    text = (folder / "train" / "no.tsv").read_bytes().decode()
    assert text == 'source\ttarget\tid\tpool\na "quoted" word\tørret\t1\t\nNA\tnull\t2\t\n'
    assert read_yaml(folder / "collection.yaml") == {
        "family": "translation",
        "licence": "MIT",
        "source": "somewhere",
        "attribution": "thanks to no one",
        "made_by": "python x.py",
        "parallel": True,
        "tasks": {"no": {"target_language": "no"}},
    }
    assert (folder / "LICENCE.txt").read_text() == "MIT\n\nthanks to no one\n\nSource: somewhere\n\nAll of it.\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        "LICENCE.txt",
        "collection.yaml",
        "test",
        "train",
        "valid",
    ]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["out"]
    printed = capsys.readouterr().out
    assert "thanks to no one" in printed
    assert str(folder) in printed


def test_an_older_collection_gives_way_as_a_whole(tmp_path: Path) -> None:
    output.write(norwegian(), tmp_path / "out")
    newer = norwegian()
    newer.tasks["train"]["da"] = newer.tasks["train"].pop("no")
    newer.info = {"da": {}}
    output.write(newer, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "train").iterdir()] == ["da.tsv"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_in_the_middle_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output.write(norwegian(), tmp_path / "out")
    before = (tmp_path / "out" / "collection.yaml").read_bytes()

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output, "write_yaml", no_space)
    with pytest.raises(OSError, match="No space"):
        output.write(norwegian(), tmp_path / "out")
    with pytest.raises(OSError, match="No space"):
        output.write(norwegian(), tmp_path / "new")
    assert (tmp_path / "out" / "collection.yaml").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    with pytest.raises(UserError, match=r"no collection\.yaml"):
        output.finish(norwegian(), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "precious"
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file"):
        output.check_out(tmp_path / "out")
    with pytest.raises(UserError, match="cannot write"):
        output.check_out(tmp_path / "out" / "deeper")


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    output.write(norwegian(), tmp_path / "out")
    assert (tmp_path / "out" / "collection.yaml").is_file()
