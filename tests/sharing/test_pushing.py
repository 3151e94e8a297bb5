"""An adaptation pushed to a folder or the Hub: all it needs goes along, and nothing else is touched."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from adapted import KINDS

import metanlp
from metanlp.adaptation import load_adaptation
from metanlp.errors import UserError
from metanlp.sharing import _prepare, find_adaptation, push_adaptation


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_pushed_to_a_folder_and_loaded_from_it(kind: str, runs, tmp_path: Path) -> None:
    run, folder = runs(kind), tmp_path / "anna" / "cat"
    assert push_adaptation(run, "cat", str(folder)).folder == folder
    parts = run.trained("cpu")
    (made, here), (same, there) = (
        load_adaptation(run, parts, find_adaptation(run, where)) for where in ("cat", folder)
    )
    assert made == same
    assert all(torch.equal(here[name], there[name]) for name in here)
    translate = {
        where: metanlp.pipeline("translation", run, adaptation=where) for where in ("cat", str(folder), folder)
    }
    assert len({str(each(["abc", "hag"])) for each in translate.values()}) == 1
    push_adaptation(run, "cat", str(folder))  # again, over itself


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_this_machine_and_no_example_goes_along(kind: str, runs, tmp_path: Path) -> None:
    run = runs(kind)
    push_adaptation(run, "cat", str(tmp_path / "out"))
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"README.md", "adaptation.json", "manifest.json"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert str(run.folder.parent).encode() not in content, path
        if path.name not in ("tokenizer.json",):
            assert b"secret" not in content, path
    parts = run.trained("cpu")
    _, here = load_adaptation(run, parts, "cat")
    _, there = load_adaptation(run, parts, tmp_path / "out")
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_older_models_note_where_their_encoder_was(runs, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    run = runs("full on e5")
    source = tmp_path / "source"
    shutil.copytree(run.place / "adaptations" / "cat", source)
    config = json.loads((source / "config.json").read_text())
    config["encoder"]["_name_or_path"] = str(run.folder.parent / "encoder")
    config["decoder"]["_name_or_path"] = "user/on-the-hub"
    (source / "config.json").write_text(json.dumps(config))
    out = tmp_path / "out"
    _prepare(source, out, None)
    config = json.loads((out / "config.json").read_text())
    assert (config["encoder"]["_name_or_path"], config["decoder"]["_name_or_path"]) == (None, "user/on-the-hub")
    AutoModelForSeq2SeqLM.from_pretrained(out)


def test_plain_peft_loads_what_was_pushed(runs, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM

    run = runs("lora")
    push_adaptation(run, "cat", str(tmp_path / "out"))
    model = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(run.base), str(tmp_path / "out"))
    parts = run.trained("cpu")
    _, weights = load_adaptation(run, parts, "cat")
    theirs = model.state_dict()
    for name, weight in weights.items():
        assert torch.equal(theirs[f"base_model.model.{name.removesuffix('.weight')}.default.weight"], weight[0])


def test_pushed_again_it_takes_nothing_away(runs, tmp_path: Path) -> None:
    run, folder = runs("lora"), tmp_path / "out"
    card = run.place / "adaptations" / "cat" / "README.md"
    generated = card.read_text(encoding="utf-8")
    assert not push_adaptation(run, "cat", str(folder)).edited
    card.write_text(generated + "Of letters.\n", encoding="utf-8")  # the run's own is the one to edit
    try:
        again = push_adaptation(run, "cat", str(folder))
    finally:
        card.write_text(generated, encoding="utf-8")  # other tests use the run too
    assert (again.card, again.edited) == (card, False)
    assert (folder / "README.md").read_text(encoding="utf-8") == generated + "Of letters.\n"
    (folder / "README.md").write_text("# Mine\n", encoding="utf-8")
    for _ in range(2):
        assert push_adaptation(run, "cat", str(folder)).edited
        assert (folder / "README.md").read_text(encoding="utf-8") == "# Mine\n"
    for other in (".git/HEAD", "notes.txt"):
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).write_text("dear to somebody")
        with pytest.raises(UserError, match=rf"has other files beside its adaptation \({re.escape(other)}\)"):
            push_adaptation(run, "cat", str(folder))
        assert (folder / other).read_text() == "dear to somebody"
        (folder / other).unlink()


class Hub:
    """The Hub's calls that pushing makes, for one repository in a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def create_repo(self, name: str, **_: Any) -> str:
        return f"https://hub/{name}"

    def upload_folder(self, *, folder_path: Path, **_: Any) -> None:
        shutil.copytree(folder_path, self.place, dirs_exist_ok=True)

    def snapshot_download(self, name: str, **_: Any) -> str:
        if not self.place.exists():
            raise FileNotFoundError(name)
        return str(self.place)


def test_a_card_edited_on_the_hub_stays(runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    run = runs("lora")
    shutil.rmtree(run.place / "published", ignore_errors=True)
    assert not push_adaptation(run, "cat", "anna/cat").edited
    (hub.place / "README.md").write_text("# Mine\n", encoding="utf-8")
    for _ in range(2):
        assert push_adaptation(run, "cat", "anna/cat").edited
        assert (hub.place / "README.md").read_text(encoding="utf-8") == "# Mine\n"
    shutil.rmtree(run.place / "published")


def test_without_a_network_the_folder_is_ready(runs) -> None:
    """The tests are offline: what the Hub's own library says then is what a user without a network sees."""
    run = runs("lora")
    shutil.rmtree(run.place / "published", ignore_errors=True)
    with pytest.raises(
        UserError, match=r"nothing went to the Hub \(.*\); wrote .*published/cat, push it later"
    ) as told:
        push_adaptation(run, "cat", "anna/cat")
    assert "hf upload anna/cat " in str(told.value)
    assert load_adaptation(run, run.trained("cpu"), run.place / "published" / "cat")[0].name == "cat"


def test_a_folder_in_use_is_not_overwritten(runs, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear Anna")
    for to in (tmp_path, tmp_path / "letters.txt"):
        with pytest.raises(UserError, match="has something else in it"):
            push_adaptation(runs("lora"), "cat", str(to))
    assert (tmp_path / "letters.txt").read_text() == "dear Anna"
    copied = tmp_path / "copied"  # not by a push: nobody knows whether its card is edited
    shutil.copytree(runs("lora").place / "adaptations" / "cat", copied)
    with pytest.raises(UserError, match="has something else in it"):
        push_adaptation(runs("lora"), "cat", str(copied))
    with pytest.raises(UserError, match="no adaptation 'dog'"):
        push_adaptation(runs("lora"), "dog", str(tmp_path / "new"))
