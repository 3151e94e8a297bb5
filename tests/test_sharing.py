"""An Adaptation in a folder: found, checked against the run, pushed with a card that the Hub can read."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from backbones.real_formats import e5
from makers import cipher, plain_recipe, write_collection

import metanlp
from metanlp.adaptation import adapt, load_adaptation
from metanlp.config.load import build_recipe
from metanlp.config.recipe import TaskOptions
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.evaluation import measure
from metanlp.registry import TASKS
from metanlp.run import Run
from metanlp.sharing import _prepare, find_adaptation, push_adaptation
from metanlp.training import meta_train

KINDS = ["lora", "full", "lora on e5", "full on e5"]
WORDS = ["abc", "bad", "cafe", "dead", "beef", "fade", "gab", "hag", "egg", "face", "bag", "cab"]
EXAMPLES = [Example(f"{word} secret", cipher(3, word)) for word in WORDS]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A trained run of each kind of fast weights, adapted to `cat`; "... on e5" stands on an encoder with a new decoder."""
    home, made = tmp_path_factory.mktemp("runs"), {}
    ciphers = write_collection(home / "ciphers")
    facts = (ciphers / "collection.yaml").read_text().replace("CC0", "CC-BY-4.0")
    facts = facts.replace("made by a test", "https://huggingface.co/datasets/some/words, made by a test")
    (ciphers / "collection.yaml").write_text(facts + "attribution: Anna Test\n")

    def on_e5(raw: dict[str, Any]) -> None:
        if not (home / "encoder").exists():
            (home / "encoder").mkdir()
            e5(home / "encoder")
        sizes = {"vocabulary": 300, "width": 24, "heads": 2, "feed_forward": 24, "layers": 1, "max_length": 40}
        raw["backbone"] = {"kind": "encoder_decoder", "encoder": str(home / "encoder"), "prefix": "query: ", **sizes}
        if raw["fast_weights"] == "lora":  # on the model that another stage has made
            start = {"algorithm": "joint", "fast_weights": "full", "train": {"steps": 3}}
            raw["stages"] = {"start": start, "meta": {"after": "start", **raw["stages"]["meta"]}}

    def run(kind: str) -> Run:
        if kind not in made:
            raw = plain_recipe(ciphers)
            raw["fast_weights"] = kind.split()[0]
            if kind.endswith("on e5"):
                on_e5(raw)
            made[kind] = Run.open(meta_train(build_recipe(raw), home / kind.replace(" ", "-")))
            info = {"source_language": "eng_Latn", "target_language": "qu", "language": "Quechua"}
            adapt(made[kind], EXAMPLES, name="cat", info=info)
        return made[kind]

    return run


def front(text: str) -> dict:
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_card_is_written_with_every_adaptation(kind: str, runs) -> None:
    from huggingface_hub import ModelCard

    folder = runs(kind).place / "adaptations" / "cat"
    text = (folder / "README.md").read_text(encoding="utf-8")
    data = front(text)
    assert data["library_name"] == {"lora": "peft", "full": "transformers"}[kind]
    assert data["license"] == "cc-by-4.0"
    assert data["language"] == ["eng", "qu"]
    assert data["datasets"] == ["some/words"]
    assert "base_model" not in data  # a folder of this machine
    assert "metrics" not in data
    assert ModelCard(text).data.to_dict()["pipeline_tag"] == "translation"
    for said in ("12 examples", "Anna Test", "CC-BY-4.0", "Not measured", "chrF on 6 held-out examples", "Quechua"):
        assert said in text.replace("\n", " ") or said in text, said
    assert str(folder.parents[3]) not in text
    assert "{" not in text


def test_a_model_of_the_hub_is_named_as_the_base(runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metanlp.adaptation import read_facts
    from metanlp.card import model_card

    run = runs("lora")
    parts = run.build("cpu")
    monkeypatch.setattr(Run, "base", "facebook/nllb-200-distilled-600M")
    text = model_card(run, parts, read_facts(find_adaptation(run, "cat")))
    assert front(text)["base_model"] == "facebook/nllb-200-distilled-600M"
    assert 'from_pretrained("facebook/nllb-200-distilled-600M")' in text
    (tmp_path / "nllb").mkdir()
    monkeypatch.setattr(Run, "base", str(tmp_path / "nllb"))
    text = model_card(run, parts, read_facts(find_adaptation(run, "cat")))
    assert "base_model" not in front(text)
    assert 'from_pretrained("your nllb")' in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_card_says_works_as_it_stands(kind: str, runs) -> None:
    """Its code for plain transformers or PEFT, on the text that it says the model reads, against our pipeline."""
    run = runs(kind)
    folder = run.place / "adaptations" / "cat"
    card = (folder / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", card, re.S)[-1]
    there: dict[str, Any] = {}
    exec(code.replace("this folder, or its name on the Hub", str(folder)).replace('"RUN/', f'"{run.folder}/'), there)
    (read,) = re.findall(r"Of `a text` the model reads this.*?\n```\n(.*?)\n```", card, re.DOTALL)
    assert read == ("query: a text" if kind.endswith("on e5") else "a text")
    pieces = there["tokenizer"](read, return_tensors="pt")
    ids = {name: pieces[name] for name in ("input_ids", "attention_mask")}
    written = there["model"].eval().generate(**ids, num_beams=1, do_sample=False, max_new_tokens=6)
    text = there.get("target_tokenizer", there["tokenizer"]).decode(written[0], skip_special_tokens=True)
    translate = metanlp.pipeline("translation", run, adaptation="cat", device="cpu", num_beams=1, max_new_tokens=6)
    assert translate("a text") == [{"translation_text": text}]


def test_a_task_family_of_ones_own_has_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "_classes", dict(TASKS._classes))

    @TASKS.register("riddles")
    class Riddles(TASKS.get("translation")):
        pipeline_tag = "question-answering"

    ciphers = write_collection(tmp_path / "ciphers")
    facts = (ciphers / "collection.yaml").read_text()
    (ciphers / "collection.yaml").write_text(facts.replace("family: translation", "family: riddles"))
    raw = plain_recipe(ciphers)
    raw["task"]["kind"] = "riddles"
    run = Run.open(meta_train(build_recipe(raw), tmp_path / "run"))
    adapt(run, EXAMPLES[:4], name="cat")
    text = (run.place / "adaptations" / "cat" / "README.md").read_text(encoding="utf-8")
    assert front(text)["pipeline_tag"] == "question-answering"
    assert TaskOptions.pipeline_tag == "text-generation"


@pytest.mark.parametrize(
    ("licence", "data"),
    [
        ("CC BY 4.0", {"license": "cc-by-4.0"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("BSD-3-Clause and MIT (some)", {"license": "other", "license_name": "bsd-3-clause-and-mit-some"}),
    ],
)
def test_licences_as_the_hub_names_them(licence: str, data: dict[str, str]) -> None:
    from metanlp.card import _licence
    from metanlp.data.collection import CollectionFacts

    assert _licence(CollectionFacts(family="translation", licence=licence, source="x", parallel=False)) == data


def test_scores_stand_in_the_card_with_their_signatures(runs) -> None:
    """On examples it did not learn from; measured as sacreBLEU itself measures."""
    from sacrebleu.metrics import CHRF

    run = runs("lora")
    parts = run.trained("cpu")
    adapt(run, EXAMPLES[:8], name="measured", parts=parts)
    queries = EXAMPLES[8:]
    made = measure(run, parts, "measured", queries)
    translate = metanlp.pipeline("translation", run, adaptation="measured", device="cpu", num_beams=1, max_new_tokens=8)
    written = [each["translation_text"] for each in translate([each.source for each in queries])]
    oracle = CHRF()
    value = oracle.corpus_score(written, [[each.target for each in queries]]).score
    assert made.scores["chrF"] == {
        "value": pytest.approx(value),
        "signature": str(oracle.get_signature()),
        "examples": 4,
    }
    text = (run.place / "adaptations" / "measured" / "README.md").read_text(encoding="utf-8")
    assert f"| chrF | {value:.1f} | 4 | `{oracle.get_signature()}` |" in text
    assert front(text)["metrics"] == ["chrf", "exact_match"]
    found = front(text)["model-index"][0]["results"][0]["metrics"]
    assert {"type": "chrf", "name": "chrF", "value": round(value, 2), "config": str(oracle.get_signature())} in found
    assert load_adaptation(run, parts, "measured")[0] == made


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


def test_pushed_again_it_takes_nothing_away(runs, tmp_path: Path) -> None:
    run, folder = runs("lora"), tmp_path / "out"
    card = run.place / "adaptations" / "cat" / "README.md"
    generated = card.read_text(encoding="utf-8")
    assert not push_adaptation(run, "cat", str(folder)).edited
    card.write_text(generated + "Of letters.\n", encoding="utf-8")  # the run's own is the one to edit
    again = push_adaptation(run, "cat", str(folder))
    card.write_text(generated, encoding="utf-8")
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


def test_a_foreign_one_is_refused_and_says_why(runs, tmp_path: Path) -> None:
    push_adaptation(runs("lora"), "cat", str(tmp_path / "out"))
    other = runs("full")
    with pytest.raises(UserError, match=rf"'cat' in .* from other weights \({runs('lora').id}\) than .*{other.id}"):
        metanlp.pipeline("translation", other, adaptation=str(tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"is no adaptation: there is no adaptation.json"):
        metanlp.pipeline("translation", other, adaptation=str(tmp_path / "empty"))


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
