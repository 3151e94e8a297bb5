"""Runs into a new language, in every family: trained, adapted, translated into, given to peft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from new_language import LIKE, NEW, SOURCES, TARGETS, everyone, logits_of, rows_of
from real_formats import BEFORE, LANGUAGES, marian_asks
from torch.nn import functional as F

from metanlp.adaptation import adapt, adaptation_folder, load_adaptation
from metanlp.batch import IGNORED
from metanlp.config.load import build_recipe
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.pipelines.factory import pipeline
from metanlp.registry import BACKBONES
from metanlp.run import Run
from metanlp.training import meta_train

pytestmark = marian_asks


def recipe_of(name: str, model: Path, folder: Path, **changes: Any) -> Any:
    """Two training languages and, as a test task, the new one."""
    codes = {"marian": (None, "deu", "mri"), "t5": (None, "deu", "mri")}
    source, first, second = LANGUAGES.get(name) or codes.get(name, codes["t5"])
    facts = "family: translation\nlicence: CC0\nsource: made by a test\nparallel: false\ntasks:\n"
    for split, task, code in (("train", "one", first), ("train", "two", second), ("test", "new", NEW[name])):
        (folder / "tasks" / split).mkdir(parents=True, exist_ok=True)
        lines = [f"{left} {task}\t{right}" for left, right in zip(SOURCES * 2, TARGETS * 2, strict=True)]
        lines = [f"{line} {number}" for number, line in enumerate(lines)]
        (folder / "tasks" / split / f"{task}.tsv").write_text(
            "source\ttarget\n" + "".join(f"{each}\n" for each in lines)
        )
        languages = {key: value for key, value in (("source_language", source), ("target_language", code)) if value}
        facts += f"  {task}: {json.dumps(languages)}\n"
    (folder / "tasks" / "collection.yaml").write_text(facts)
    like = {"like": LIKE[name]} if name in LIKE else {}
    raw = {
        "task": {"kind": "translation", "collection": str(folder / "tasks"), "new_languages": {NEW[name]: like}},
        "backbone": {"kind": "seq2seq", "model": str(model), "max_length": 64},
        "fast_weights": {"kind": "lora", "r": 2},
        "trackers": [],
        "stages": {
            "meta": {
                "algorithm": {"kind": "fomaml", "inner_steps": 1},
                "train": {"steps": 1, "meta_batch": 2, "support": 2, "query": 2},
            }
        },
        "adapting": {"steps": 6, "learning_rate": 2e-2},
    }
    if BEFORE[name] == "none":
        raw["task"]["prompt"] = "{target_language} {source}"
    raw["task"].update(changes.pop("task", {}))
    return build_recipe({**raw, **changes})


@everyone
def test_one_line_of_a_recipe_is_enough(name: str, folder_of, tmp_path: Path) -> None:
    """Train, adapt to the new language, translate into it, and give the adapter to plain peft."""
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    run = Run.open(meta_train(recipe_of(name, folder_of(name), tmp_path), tmp_path / "run"))
    parts = run.trained("cpu")
    home = AutoModelForSeq2SeqLM.from_pretrained(run.own_base)
    examples = [Example(source, target) for source, target in zip(SOURCES, TARGETS, strict=True)]
    info = {key: value for key, value in (("source_language", rows_of(name)[0].source_language),) if value}
    adapt(run, examples, name="new", info={**info, "target_language": NEW[name]}, parts=parts)
    _, weights = load_adaptation(run, parts, "new")
    batch = parts.backbone.encode([rows_of(name)])
    losses = {0: parts.learner.losses(parts.learner.spread(1), batch), 6: parts.learner.losses(weights, batch)}
    assert losses[6] < losses[0]

    rows = [weights[key] for key in weights if "token_adapter" in key]
    assert [tensor.shape[:2] for tensor in rows] == [(1, 1)] * (name in LIKE)
    table = home.get_input_embeddings().weight
    kept = parts.learner.model.get_input_embeddings().weight
    assert torch.equal(kept, table)  # the base is as it was
    if name in LIKE:
        started = parts.learner.slow()[next(key for key in weights if "token_adapter" in key)]
        assert torch.equal(started[0], table[parts.backbone.new_rows[0]])  # no training text has the new code
        assert not torch.equal(rows[0][0, 0], started[0])

    folder = adaptation_folder(run, "new")
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    own = tmp_path / "run" / "backbone"  # only where something is new in the model
    assert Path(base) == (own.resolve() if name in LIKE else folder_of(name))
    assert own.exists() == (name in LIKE)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40_000
    plain = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(base), str(folder)).eval()
    with parts.learner.using(weights) as model:
        wanted = model(**batch.inputs).logits
    torch.testing.assert_close(logits_of(plain, batch), wanted, rtol=0, atol=1e-6)
    with plain.disable_adapter():
        assert torch.equal(logits_of(plain, batch), logits_of(home, batch))
    assert AutoTokenizer.from_pretrained(base).get_vocab() == parts.backbone.tokenizer.get_vocab()

    (found,) = pipeline("translation", run, adaptation="new", device="cpu")(
        "the old cat", max_new_tokens=6, num_beams=2
    )
    assert isinstance(found["translation_text"], str)
    assert not any(mark in found["translation_text"] for mark in ("tyv", "__", ">>"))


def test_full_weights_take_the_row_along(folder_of, tmp_path: Path) -> None:
    """The model's folder is the base of another run or stage, which knows the code and its row without being told."""
    recipe = recipe_of("m2m100", folder_of("m2m100"), tmp_path, fast_weights="full")
    run = Run.open(meta_train(recipe, tmp_path / "run"))
    again = BACKBONES.get("seq2seq")(model=str(run.model)).open(str(run.model))
    ours = run.trained("cpu").backbone
    assert again.languages.ids["tyv"] == ours.languages.ids["tyv"]
    assert list(again.new_rows) == list(ours.new_rows) == [ours.languages.ids["tyv"]]
    part = recipe_of("m2m100", folder_of("m2m100"), tmp_path, fast_weights={"kind": "full", "match": "fc1"})
    with pytest.raises(UserError, match="leaves the embedding out: new languages and pieces would learn nothing"):
        Run.create(part, tmp_path / "other").build("cpu")


def test_a_row_learns_from_the_texts_that_it_stands_in(folder_of, tmp_path: Path) -> None:
    """Two tasks, one of which has the new code: its gradient is autograd's own, the other's row stays."""
    recipe = recipe_of("nllb", folder_of("nllb"), tmp_path)
    parts = Run.create(recipe, tmp_path / "run").build("cpu")
    (name,) = [key for key in parts.learner.slow() if "token_adapter" in key]
    batch = parts.backbone.encode([rows_of("nllb"), rows_of("nllb", "quy_Latn")])
    _, grads = parts.learner.losses_and_grads(parts.learner.spread(2), batch)
    assert not grads[name][1].any()

    plain = recipe.backbone.open(str(tmp_path / "run" / "backbone"))
    alone = plain.encode([rows_of("nllb")])
    logits = plain.model.train()(**alone.inputs).logits
    F.cross_entropy(logits.flatten(0, 1), alone.labels.flatten(), ignore_index=IGNORED).backward()
    wanted = plain.model.get_input_embeddings().weight.grad[plain.new_rows]
    torch.testing.assert_close(grads[name][0], wanted, rtol=0, atol=1e-6)
    assert wanted.abs().max() > 1e-3
