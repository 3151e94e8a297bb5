"""An adaptation found by its name, in a folder or on the Hub, and checked against the run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import metanlp
from metanlp.adaptation import load_adaptation
from metanlp.errors import UserError
from metanlp.sharing import find_adaptation, push_adaptation


def test_one_of_the_hub_is_read_from_where_the_hub_keeps_it(
    runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub's own cache as a download leaves it: files by their hash, and links to them under the commit."""
    run, commit, home = runs("lora"), "0" * 40, tmp_path / "models--anna--cat"
    push_adaptation(run, "cat", str(tmp_path / "out"))
    (home / "blobs").mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "snapshots" / commit).mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    for number, path in enumerate(sorted((tmp_path / "out").iterdir())):
        shutil.copy(path, home / "blobs" / str(number))
        (home / "snapshots" / commit / path.name).symlink_to(home / "blobs" / str(number))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    ours, theirs = (metanlp.pipeline("translation", run, adaptation=each)("abc") for each in ("cat", "anna/cat"))
    assert ours == theirs


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("anna/nothing", "there is no folder anna/nothing, and the Hub gives no such adaptation"),
        ("./nothing", "there is no folder ./nothing; give the name"),
        ("/nowhere/at/all", "there is no folder /nowhere/at/all"),
        ("../x", "there is no folder ../x"),
        (Path("nothing"), "there is no folder nothing"),
        ("dog", r"has no adaptation 'dog'.*cat"),
        ("..", "cannot name an adaptation"),
        ("", "cannot name an adaptation"),
    ],
)
def test_what_is_not_found_says_so(where: str | Path, says: str, runs) -> None:
    with pytest.raises(UserError, match=says):
        find_adaptation(runs("lora"), where)


def test_a_foreign_one_is_refused_and_says_why(runs, tmp_path: Path) -> None:
    push_adaptation(runs("lora"), "cat", str(tmp_path / "out"))
    other = runs("full")
    with pytest.raises(UserError, match=rf"'cat' in .* from other weights \({runs('lora').id}\) than .*{other.id}"):
        metanlp.pipeline("translation", other, adaptation=str(tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"is no adaptation: there is no adaptation.json"):
        metanlp.pipeline("translation", other, adaptation=str(tmp_path / "empty"))


def test_the_card_may_be_edited_and_nothing_else(runs, tmp_path: Path) -> None:
    run, folder = runs("lora"), tmp_path / "out"
    push_adaptation(run, "cat", str(folder))
    (folder / "README.md").write_text("# Mine\n")
    (folder / ".gitattributes").write_text("* text\n")
    load_adaptation(run, run.trained("cpu"), folder)
    facts = json.loads((folder / "adaptation.json").read_text())
    (folder / "adaptation.json").write_text(json.dumps({**facts, "examples": 10_000}))
    with pytest.raises(UserError, match="was altered since it was saved"):
        load_adaptation(run, run.trained("cpu"), folder)
