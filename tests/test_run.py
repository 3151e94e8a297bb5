"""Stages with fast weights of their own: each stands on what the one before it has made of the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import cipher, plain_recipe, write_collection

from metanlp.adaptation import adapt, load_adaptation
from metanlp.checking import check_recipe
from metanlp.config import Recipe
from metanlp.config.load import build_recipe
from metanlp.data.types import Example, Prompt
from metanlp.errors import UserError
from metanlp.evaluation import evaluate
from metanlp.pipelines.factory import pipeline
from metanlp.run import Run
from metanlp.training import meta_train

JOINT = {"algorithm": "joint", "train": {"steps": 2, "meta_batch": 2, "support": 0, "query": 2, "learning_rate": 1e-2}}
META = {
    "algorithm": {"kind": "fomaml", "inner_steps": 2, "inner_lr": 1e-2},
    "train": {"steps": 2, "meta_batch": 2, "support": 4, "query": 2, "learning_rate": 1e-2},
}
DECODER = {"kind": "full", "match": "^model.decoder"}
STAGES = {
    "start": {**JOINT, "fast_weights": DECODER},
    "joint": {**JOINT, "after": "start"},
    "meta": {**META, "after": "joint"},
    "wider": {**JOINT, "after": "meta", "fast_weights": {"kind": "lora", "r": 3, "targets": ["fc1"]}},
    "all": {**JOINT, "after": "wider", "fast_weights": "full"},
}


def chain(collection: Path, *overrides: str) -> Recipe:
    raw = plain_recipe(collection)
    raw["fast_weights"] = {"kind": "lora", "r": 2}
    raw["stages"] = json.loads(json.dumps(STAGES))
    return build_recipe(raw, *overrides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("chain")
    return meta_train(chain(write_collection(home / "ciphers")), home / "run")


def state(path: Path) -> dict[str, torch.Tensor]:
    from transformers import AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM.from_pretrained(path).state_dict()


def logits(model: Any, backbone: Any) -> torch.Tensor:
    batch = backbone.encode([[Prompt("abc 3", "def"), Prompt("cafe 3", "fdih")]])
    model.eval()
    with torch.no_grad():
        return model(**batch.inputs).logits


def with_adapter(base: Path, adapter: Path) -> Any:
    """Plain transformers and plain PEFT."""
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM

    return PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(base), adapter)


def test_a_stage_of_its_own_weights_moves_these_alone(folder: Path) -> None:
    before, after = state(folder / "backbone"), state(folder / "start/model")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("decoder" in name or name in ("model.shared.weight", "lm_head.weight") for name in moved)


@pytest.mark.parametrize(
    ("stage", "below"), [("joint", "start/model"), ("meta", "start/model"), ("wider", "meta/whole")]
)
def test_an_adapter_belongs_to_the_model_it_was_trained_on(folder: Path, stage: str, below: str) -> None:
    parts = Run.open(folder / stage).trained("cpu")
    config = json.loads((folder / stage / "model/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str((folder / below).resolve())
    plain = logits(with_adapter(folder / below, folder / stage / "model").double(), parts.backbone)
    torch.testing.assert_close(logits(parts.learner.model.double(), parts.backbone), plain, rtol=0, atol=1e-6)


def test_other_fast_weights_start_where_the_stage_before_ended(folder: Path) -> None:
    """meta has the adapters of joint and goes on with them; wider and all find the adapters inside the model."""
    run = Run.open(folder)
    for stage, before in (("wider", "meta"), ("all", "wider")):
        begun, ended = run.at(stage).build("cpu"), run.at(before).trained("cpu")
        found, wanted = (logits(parts.learner.model, ended.backbone) for parts in (begun, ended))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        assert not torch.equal(found, logits(run.at("start").trained("cpu").learner.model, ended.backbone))
    assert not (folder / "joint/whole").exists()


def test_the_base_is_saved_without_a_trace_of_the_adapters(folder: Path) -> None:
    names = state(folder / "backbone").keys()
    assert state(folder / "meta/whole").keys() == names
    assert state(folder / "all/model").keys() == names


def test_a_base_is_not_rounded_where_passes_are(tmp_path: Path) -> None:
    """The adapters go into the weights as float32: against plain PEFT's own merging."""
    recipe = chain(write_collection(tmp_path / "ciphers"), "precision=bf16")
    folder = meta_train(recipe, tmp_path / "run")
    merged = with_adapter(folder / "start/model", folder / "meta/model").merge_and_unload().state_dict()
    found = state(folder / "meta/whole")
    moved = [name for name in found if "q_proj" in name and "weight" in name]
    assert moved
    for name in moved:
        torch.testing.assert_close(found[name], merged[name], rtol=0, atol=1e-7)


def test_a_lost_base_is_made_again(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "meta/whole")
    with pytest.raises(UserError, match=r"stage 'meta' of .* is not trained to its end"):
        Run.open(copy / "wider").trained("cpu")
    meta_train(Run.open(copy).recipe, copy)
    before, after = state(folder / "meta/whole"), state(copy / "meta/whole")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_every_stage_is_measured_and_adapts(folder: Path) -> None:
    run = Run.open(folder)
    options = run.recipe.evaluation.model_copy(update={"stages": ["start", "meta", "wider", "all"]})
    assert evaluate(run, options=options).stages() == options.stages
    words = ["abc", "bad", "cafe", "dead", "beef", "fade", "gab", "hag"]
    examples = [Example(word, cipher(3, word)) for word in words]
    for stage in ("start", "wider"):
        adapt(run.at(stage), examples, name="three")
        parts = run.at(stage).trained("cpu")
        _, weights = load_adaptation(run.at(stage), parts, "three")
        assert weights.keys() == parts.learner.slow().keys()
        assert len(pipeline("translation", run.at(stage), adaptation="three")("abc")) == 1
    plain = with_adapter(folder / "meta/whole", folder / "wider/adaptations/three")
    with parts.learner.using(weights):
        found = logits(parts.learner.model, parts.backbone)
    torch.testing.assert_close(found, logits(plain, parts.backbone), rtol=0, atol=1e-6)


def test_an_adaptation_goes_with_the_base_as_well(folder: Path, tmp_path: Path) -> None:
    """The weights below a stage name it too: its own could be the same over another model."""
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    assert Run.open(copy / "meta").id == Run.open(folder / "meta").id
    manifest = Run.open(copy / "start").last_checkpoint / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    assert Run.open(copy / "meta").id != Run.open(folder / "meta").id


def test_check_looks_at_each_stages_weights(collection: Path) -> None:
    said = check_recipe(chain(collection), "chain")
    assert [line.split(" fast weights ")[1][:6] for line in said.splitlines() if " fast weights " in line] == [
        "(full)",
        "(lora)",
        "(lora)",
        "(lora)",
        "(full)",
    ]


def test_a_backbone_is_made_of_all_prompts_or_of_some(
    make_recipe: Any, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are spread evenly: of two a task, the first and the one in the middle."""
    found: dict[int | None, list[Prompt]] = {}

    def prepare(self: Any, folder: Path, prompts: Any, seed: int) -> None:
        found.update({most: list(prompts(most)) for most in (None, 12, 1)})

    monkeypatch.setattr("metanlp.backbones.tiny.Tiny.prepare", prepare)
    Run.create(make_recipe(), tmp_path / "run").prepare()
    files = [path.read_text().splitlines()[1:] for path in sorted((collection / "train").glob("*.tsv"))]
    wanted = [[Prompt(*line.split("\t")) for line in dict.fromkeys(lines)] for lines in files]
    assert found[None] == [prompt for task in wanted for prompt in task]
    assert found[12] == [prompt for task in wanted for prompt in (task[0], task[(len(task) + 1) // 2])]
    assert found[1] == [task[0] for task in wanted]


def test_a_stage_with_an_unknown_kind_is_told(collection: Path) -> None:
    with pytest.raises(UserError, match=r"stages\.start\.fast_weights: no kind of fast weights 'lorra'.*'lora'"):
        chain(collection, "stages.start.fast_weights=lorra")
    assert chain(collection, "stages.start.fast_weights=null").base_of("meta") is None


@pytest.mark.parametrize("part", ["task", "backbone"])
def test_a_recipe_that_cannot_begin_is_in_nobodys_way(collection: Path, tmp_path: Path, part: str) -> None:
    """The corrected one begins with the same command; once it has trained, another is refused."""
    raw = plain_recipe(collection)
    missing = {"kind": "seq2seq", "model": str(tmp_path / "none")}
    broken = (
        {**raw, "task": {**raw["task"], "collection": "phrasse"}} if part == "task" else {**raw, "backbone": missing}
    )
    with pytest.raises(UserError, match=r"no task collection phrasse|neither a folder nor a reachable Hub model"):
        meta_train(build_recipe(broken), tmp_path / "run")
    meta_train(build_recipe(raw), tmp_path / "run")
    with pytest.raises(UserError, match=r"made by another recipe \(it differs in .*remove the folder to begin anew"):
        meta_train(build_recipe(broken), tmp_path / "run")


def test_check_tells_of_shots_and_of_the_backbone_at_once(collection: Path) -> None:
    raw = plain_recipe(collection)
    raw["task"]["new_languages"] = {"tyv_Cyrl": {}}
    raw["evaluation"] = {"shots": [1000]}
    with pytest.raises(UserError) as told:
        check_recipe(build_recipe(raw), "mine")
    assert "enough examples for 1000 shots" in str(told.value)
    assert "task.new_languages and task.new_pieces are for pretrained models" in str(told.value)


def test_a_stage_of_no_steps_is_what_nothing_has_prepared(collection: Path, tmp_path: Path) -> None:
    recipe = chain(collection, "stages.joint.train.steps=0", "stages.meta.after=start")
    run = Run.open(meta_train(recipe, tmp_path / "run"))
    slow = run.at("joint").trained().learner.slow()
    assert all((weight == 0).all() == ("lora_B" in name) for name, weight in slow.items())
    before = run.at("joint").last_checkpoint.stat().st_mtime_ns
    meta_train(recipe, run.folder)
    assert run.at("joint").last_checkpoint.stat().st_mtime_ns == before
    made = adapt(run.at("joint"), [Example("abc", "def"), Example("cafe", "fdih")], name="own")
    _, weights = load_adaptation(run.at("joint"), run.at("joint").trained(), made.name)
    assert all(bool(weight.any()) for weight in weights.values())


def test_what_made_the_weights_is_fixed_and_the_rest_may_change(collection: Path, tmp_path: Path) -> None:
    recipe = chain(collection)
    first = build_recipe({**recipe.dump(), "stages": {"start": recipe.dump()["stages"]["start"]}})
    folder = meta_train(first, tmp_path / "run")
    trained = Run.open(folder).at("start").id
    meta_train(chain(collection, "adapting.steps=7", "evaluation.queries=3", "stages.start.adapting.steps=9"), folder)
    run = Run.open(folder)
    assert run.at("start").id == trained
    changed = run.recipe
    assert (changed.adapting.steps, changed.evaluation.queries, changed.adapting_of("start").steps) == (7, 3, 9)
    assert all(run.at(stage).finished() for stage in STAGES)
    for change in ("seed=4", "stages.start.train.learning_rate=0.5", "fast_weights.r=3"):
        with pytest.raises(UserError, match=r"made by another recipe \(it differs in .*" + change.partition("=")[0]):
            meta_train(chain(collection, change), folder)
    raw = chain(collection).dump()
    without = build_recipe({**raw, "stages": {"joint": {**raw["stages"]["joint"], "after": None}}})
    with pytest.raises(UserError, match=r"made by another recipe \(it differs in .*stages\.start"):
        meta_train(without, folder)
    assert Run.open(folder).recipe.seed == recipe.seed


def test_a_trained_run_works_without_its_data(make_recipe, tmp_path: Path) -> None:
    """And its data are asked for where they are needed."""
    recipe = make_recipe("stages.meta.train.steps=1")
    run = Run.open(meta_train(recipe, tmp_path / "run"))
    shutil.rmtree(recipe.task.collection)
    parts = run.trained("cpu")
    assert parts.backbone.generate([[recipe.task.prompt_of("c1", {}, Example("abc 1", ""))]], max_new_tokens=2)
    with pytest.raises(UserError, match="there is no task collection"):
        _ = parts.collection
