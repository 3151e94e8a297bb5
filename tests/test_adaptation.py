"""A few examples become an Adaptation: how many steps, what is stored, and what is refused when it is read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import cipher, make_batch, make_t5, trained_by_kind

from metanlp.adaptation import adapt, adaptation_names, load_adaptation
from metanlp.algorithms.fomaml import FOMAML
from metanlp.batch import EncodedEpisodes
from metanlp.config.load import build_recipe
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.fast_weights.full import Full
from metanlp.learner import Learner
from metanlp.run import Run
from metanlp.stacks import check_adapting

EVIL = ["/tmp/x", "../x", "", ".", "..", "a/b", "a\\b", ".hidden", "x\n", "x y", "nul\0", "-rf", "é", "a" * 101]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A trained run of each kind of fast weights."""

    def change(raw: dict[str, Any], kind: str) -> None:
        raw["fast_weights"] = kind
        raw["adapting"] = {"steps": 10, "learning_rate": 1e-2, "batch": 4}

    return trained_by_kind(tmp_path_factory.mktemp("runs"), change)


def examples(count: int, key: int = 3) -> list[Example]:
    words = ["abc", "bad", "cafe", "dead", "beef", "fade", "gab", "hag", "egg", "face", "bag", "cab"]
    return [
        Example(words[index % 12] + "abcdefgh"[index // 12 % 8], cipher(key, words[index % 12]))
        for index in range(count)
    ]


def logits(model: Any, parts: Any) -> torch.Tensor:
    from metanlp.data.types import Prompt

    batch = parts.backbone.encode([[Prompt("abc", "bcd"), Prompt("cafe", "dbgf")]])
    model.eval()
    with torch.no_grad():
        return model(**batch.inputs).logits


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_an_adaptation_loads_back_to_the_same_logits(kind: str, runs) -> None:
    """In our learner, and in plain transformers or PEFT, which know nothing of us."""
    run = Run.open(runs(kind))
    made = adapt(run, examples(6), name="cat", info={"language": "Cat"})
    parts = run.trained("cpu")
    read, weights = load_adaptation(run, parts, "cat")
    assert read == made
    assert (made.name, made.run_id, made.examples, made.task_info["language"]) == ("cat", run.id, 6, "Cat")
    with parts.learner.using(weights) as model:
        ours = logits(model, parts)
    with parts.learner.using(parts.learner.spread(1)) as model:
        start = logits(model, parts)
    assert (ours - start).abs().max() > 1e-3
    folder = runs(kind) / "meta" / "adaptations" / "cat"
    from transformers import AutoModelForSeq2SeqLM

    if kind == "full":
        plain = AutoModelForSeq2SeqLM.from_pretrained(folder)
        assert torch.equal(logits(plain, parts), ours)
    else:
        from peft import PeftModel

        base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
        plain = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(base), str(folder))
        torch.testing.assert_close(logits(plain, parts), ours, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_adapting_learns_the_examples_and_leaves_the_start(kind: str, runs) -> None:
    run = Run.open(runs(kind))
    parts = run.trained("cpu")
    before = {name: weight.clone() for name, weight in parts.learner.slow().items()}
    from metanlp.data.types import Prompt

    batch = parts.backbone.encode([[Prompt(example.source, example.target) for example in examples(6)]])
    first = float(parts.learner.losses(parts.learner.spread(1), batch))
    adapt(run, examples(6), name="learnt", parts=parts)
    _, weights = load_adaptation(run, parts, "learnt")
    assert float(parts.learner.losses(weights, batch)) < first
    assert all(torch.equal(weight, before[name]) for name, weight in parts.learner.slow().items())


def test_adapting_twice_gives_the_same_bits(runs) -> None:
    run = Run.open(runs("lora"))
    parts = run.trained("cpu")
    adapt(run, examples(20), name="one", parts=parts)
    torch.rand(7)
    adapt(run, examples(20), name="two", parts=parts)
    (_, one), (_, two) = load_adaptation(run, parts, "one"), load_adaptation(run, parts, "two")
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", EVIL)
def test_names_that_are_no_plain_folder_names_are_refused(name: str, runs) -> None:
    run = Run.open(runs("lora"))
    with pytest.raises(UserError, match="cannot name an adaptation"):
        adapt(run, examples(3), name=name)
    with pytest.raises(UserError, match="cannot name an adaptation"):
        load_adaptation(run, run.trained("cpu"), name)


def test_no_examples_are_refused(runs) -> None:
    with pytest.raises(UserError, match="no examples"):
        adapt(runs("lora"), [], name="nothing")


def test_an_unknown_name_names_those_there_are(runs) -> None:
    run = Run.open(runs("lora"))
    adapt(run, examples(3), name="quechua")
    with pytest.raises(UserError, match=r"no adaptation 'quecha' \(did you mean 'quechua'\?\); there are .*quechua"):
        load_adaptation(run, run.trained("cpu"), "quecha")
    assert "quechua" in adaptation_names(run)


def test_half_made_ones_are_not_listed(runs) -> None:
    run = Run.open(runs("lora"))
    adapt(run, examples(3), name="whole")
    leftover = run.place / "adaptations" / ".whole.elsewhere.1.tmp"
    leftover.mkdir()
    (leftover / "adaptation.json").write_text("{}")
    assert leftover.name not in adaptation_names(run)
    (leftover / "adaptation.json").unlink()
    leftover.rmdir()


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_altered_weights_are_refused(kind: str, runs) -> None:
    run = Run.open(runs(kind))
    adapt(run, examples(3), name="altered")
    path = next((run.place / "adaptations" / "altered").glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match="was altered since it was saved"):
        load_adaptation(run, run.trained("cpu"), "altered")


def test_those_of_other_weights_are_refused(runs) -> None:
    """Another run's folder copied over, with a manifest that fits it."""
    import shutil

    from metanlp.checkpoint import commit

    run = Run.open(runs("lora"))
    adapt(run, examples(3), name="mine")
    facts = json.loads((run.place / "adaptations" / "mine" / "adaptation.json").read_text())

    def copy(place: Path) -> None:
        shutil.copytree(run.place / "adaptations" / "mine", place, dirs_exist_ok=True)
        (place / "manifest.json").unlink()
        (place / "adaptation.json").write_text(json.dumps({**facts, "run_id": "0123456789abcdef"}))

    commit(run.place / "adaptations" / "theirs", copy)
    with pytest.raises(UserError, match="was made from other weights"):
        load_adaptation(run, run.trained("cpu"), "theirs")


def test_an_unfinished_run_cannot_adapt(runs, tmp_path: Path) -> None:
    recipe = build_recipe(Run.open(runs("lora")).recipe.dump())
    Run.create(recipe, tmp_path / "new")
    with pytest.raises(UserError, match="not trained to its end"):
        adapt(tmp_path / "new", examples(3), name="early")
    with pytest.raises(UserError, match="is not a run"):
        adapt(tmp_path / "nowhere", examples(3), name="early")


def test_adapting_that_moves_nothing_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_t5()
    learner = Learner(model, Full().attach(model, 0))
    stack = EncodedEpisodes([make_batch(seed=1), make_batch(seed=2)], make_batch(seed=3))
    check_adapting(learner, FOMAML(inner_lr=0.01), stack)
    with pytest.raises(RuntimeError, match=r"adapting changed nothing.*the learning rate is too small"):
        check_adapting(learner, FOMAML(inner_lr=1e-30), stack)
    monkeypatch.setattr(FOMAML, "adapt", lambda self, learner, weights, support: weights)
    with pytest.raises(RuntimeError, match="does not use the fast weights"):
        check_adapting(learner, FOMAML(inner_lr=0.01), stack)


def test_a_loss_that_is_no_number_is_no_adaptation(runs) -> None:
    """Too high a learning rate: NaN weights are not saved as if they were somebody's."""
    run = Run.open(runs("lora"))
    parts = run.trained("cpu")
    weight = next(iter(parts.learner.fast.parameters.values()))
    with torch.no_grad():
        weight.fill_(torch.nan)
    with pytest.raises(UserError, match=r"'burst' burst.*lower the recipe's adapting.learning_rate"):
        adapt(run, examples(3), name="burst", parts=parts)
    assert "burst" not in adaptation_names(run)
