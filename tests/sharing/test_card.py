"""The card that comes with an adaptation: the Hub reads it, its code works, its numbers can be repeated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from adapted import EXAMPLES, KINDS
from makers import plain_recipe, write_collection

import metanlp
from metanlp.adaptation import adapt, load_adaptation
from metanlp.config.load import build_recipe
from metanlp.config.recipe import TaskOptions
from metanlp.evaluation import measure
from metanlp.registry import TASKS
from metanlp.run import Run
from metanlp.sharing import find_adaptation
from metanlp.training import meta_train


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
