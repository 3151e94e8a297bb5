"""Perplexity and who-is-it, against plain transformers and numbers by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import cipher, plain_recipe, write_collection

from metanlp.config.load import build_recipe, changed
from metanlp.data.sampler import evaluation_episode
from metanlp.data.types import Episode
from metanlp.encoding import prompts_of
from metanlp.errors import UserError
from metanlp.evaluation import evaluate
from metanlp.likelihood import Loss, perplexity, target_losses, who_is_it
from metanlp.results import Results
from metanlp.run import Parts, Run
from metanlp.saving import save_weights
from metanlp.stacks import adapt_stack
from metanlp.training import meta_train

PEOPLE = [9, 10, 11, 12, 13]  # keys of the test ciphers, without what tells them apart in the source


def write_people(folder: Path) -> Path:
    collection = write_collection(folder)
    for path in (collection / "test").glob("*.tsv"):
        path.unlink()
    words = [a + b + c for a in "abc" for b in "defg" for c in "ha"]
    for key in PEOPLE:
        rows = "".join(f"{word}\t{cipher(key, word)}\n" for word in words)
        (collection / "test" / f"c{key}.tsv").write_text("source\ttarget\n" + rows)
    return collection


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("people")
    raw = plain_recipe(write_people(home / "ciphers")) | {"fast_weights": request.param}
    raw["adapting"] = {"steps": 6, "learning_rate": 0.05}
    raw["evaluation"] = {"shots": [0, 8], "queries": 6, "tasks_per_stack": 2, "batch": 7}
    return Run.open(meta_train(build_recipe(raw), home / "run"))


def measured(run: Run, *changes: str) -> Results:
    return evaluate(run, options=changed(run.recipe.evaluation, *changes, subject="evaluation"))


def plain_loss(run: Run, parts: Parts, episode: Episode, folder: Path) -> float:
    """The mean loss of a piece of the queries' targets, by transformers (and PEFT) alone, one row at a time."""
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM

    if (folder / "adapter_config.json").is_file():
        model: Any = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(run.base), str(folder))
    else:
        model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    nats, pieces = 0.0, 0
    for prompt in prompts_of(run.recipe.task, episode, episode.query):
        batch = parts.backbone.encode([[prompt]])
        with torch.no_grad():
            loss = float(model.eval()(**batch.inputs, labels=batch.labels).loss)
        nats, pieces = nats + loss * batch.labels.numel(), pieces + batch.labels.numel()
    return nats / pieces


def alone(run: Run, parts: Parts, shots: int, folder: Path) -> tuple[list[Episode], list[Path]]:
    """Every test task's episode, and a folder with what adapting to it alone makes of the start."""
    split, adapting = parts.collection.split("test"), run.recipe.adapting
    episodes = [evaluation_episode(split, name, shots, 0, queries=6, max_shots=8) for name in split.names]
    folders = []
    for episode in episodes:
        weights = adapt_stack(run, parts, [episode], adapting, adapting.steps, seed=0)
        folders.append(folder / episode.task)
        save_weights(folders[-1], run, parts, weights)
    return episodes, folders


def test_perplexity_is_that_of_plain_transformers(run: Run, tmp_path: Path) -> None:
    results = measured(run, "metrics=[perplexity]")
    parts = run.trained("cpu")
    episodes, folders = alone(run, parts, 8, tmp_path)
    rows = {(row.task, row.shots): row for row in results.rows}
    for episode, folder in zip(episodes, folders, strict=True):
        row = rows[episode.task, 8]
        assert row.value == pytest.approx(math.exp(plain_loss(run, parts, episode, folder)), rel=1e-4)
        assert row.signature == f"perplexity|per:piece, end included|pieces:{len(parts.backbone.tokenizer)}|version:1"
        assert row.low is None
    overall = results.overall("meta", 8, "perplexity")
    assert overall.value == pytest.approx(sum(rows[f"c{key}", 8].value for key in PEOPLE) / len(PEOPLE))
    assert overall.low < overall.value < overall.high
    assert rows["c9", 0].value != rows["c9", 8].value


def test_nothing_is_written_where_no_metric_asks_for_texts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it generates")

    monkeypatch.setattr("metanlp.backbones._text_to_text.TextToText.generate", refuse)
    results = measured(run, "metrics=[perplexity, who_is_it]", "among=2")
    assert results.metrics() == ["perplexity", "who_is_it"]
    assert all(not each.predictions for each in results.predicted)
    with pytest.raises(AssertionError, match="it generates"):
        measured(run, "metrics=[perplexity, distinct-1]")


def test_who_is_it_against_plain_transformers(run: Run, tmp_path: Path) -> None:
    """Among all five: each one's queries under everyone's weights, row by row."""
    results = measured(run, "metrics=[who_is_it]", "among=5")
    parts = run.trained("cpu")
    episodes, folders = alone(run, parts, 8, tmp_path)
    right = 0
    for number, episode in enumerate(episodes):
        losses = [plain_loss(run, parts, episode, folder) for folder in folders]
        assert min(abs(a - losses[number]) for at, a in enumerate(losses) if at != number) > 1e-5
        right += min(range(len(losses)), key=losses.__getitem__) == number
    assert results.overall("meta", 8, "who_is_it").value == pytest.approx(100 * right / len(episodes))
    assert results.overall("meta", 0, "who_is_it").value == 20  # all adaptations are the start: chance
    assert results.rows[0].signature == "who_is_it|among:5|by:loss of a piece|version:1"


def test_a_last_group_is_filled_up_so_that_chance_is_the_same_for_all(run: Run) -> None:
    """Five people in groups of two: the one who is left over is held against one of another group."""
    results = measured(run, "metrics=[who_is_it]", "among=2")
    tasks = [row.task for row in results.rows if row.task and row.shots == 8]
    assert sorted(map(str, tasks)) == sorted(f"c{key}" for key in PEOPLE)
    assert {row.value for row in results.rows if row.task and row.shots == 8} <= {0, 100}
    assert {row.value for row in results.rows if row.shots == 0} == {50}
    with pytest.raises(
        UserError, match=r"among 10 tasks needs as many with enough examples for 8 shots, .* are 5; lower"
    ):
        measured(run, "metrics=[who_is_it]")


def test_losses_do_not_depend_on_what_shares_the_pass(run: Run) -> None:
    """Tasks with unequal numbers of rows, in passes of few rows and of many."""
    parts = run.trained("cpu")
    split = parts.collection.split("test")
    tasks = [
        evaluation_episode(split, name, 0, 0, queries=count) for name, count in (("c9", 5), ("c10", 2), ("c11", 1))
    ]
    prompts = [prompts_of(run.recipe.task, episode, episode.query) for episode in tasks]
    if run.fast_weights.stackable:
        found = target_losses(parts, prompts, parts.learner.spread(3), 6)
    else:
        found = [target_losses(parts, [task], parts.learner.spread(1), 2)[0] for task in prompts]
    for task, losses in zip(prompts, found, strict=True):
        for prompt, loss in zip(task, losses, strict=True):
            ((one,),) = target_losses(parts, [[prompt]], parts.learner.spread(1), 64)
            assert loss.pieces == one.pieces
            assert loss.nats == pytest.approx(one.nats, rel=1e-4)


def test_by_hand(make_recipe: Callable[..., Any]) -> None:
    losses = [Loss(2.0, 1), Loss(4.0, 3)]
    assert perplexity(losses, 300).value == pytest.approx(math.exp(6 / 4))
    both = {"a": Loss(6.0, 3), "b": Loss(7.0, 4)}  # 2 and 1.75 a piece
    assert [who_is_it(name, both, 2).value for name in ("a", "b")] == [0, 100]
    assert who_is_it("a", {}, 8).value == 12.5
