"""A stack of tasks with unequal numbers of examples: each learns as it would alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from makers import cipher, plain_recipe, task_of, write_collection

from metanlp import encoding, stacks
from metanlp.batch import IGNORED, Batch
from metanlp.config.load import build_recipe
from metanlp.config.recipe import Adapting
from metanlp.data.types import Episode, Example, Prompt
from metanlp.encoding import adapting_batches, encode_unequal
from metanlp.run import Run
from metanlp.stacks import adapt_stack
from metanlp.training import meta_train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("stacks")
    raw = plain_recipe(write_collection(home / "ciphers")) | {"fast_weights": "lora"}
    return Run.open(meta_train(build_recipe(raw), home / "run"))


def episode(key: int, count: int) -> Episode:
    words = ["abc", "bad", "cafe", "dead", "beef", "fade", "gab", "hag", "egg", "face", "bag", "cab"]
    return Episode(f"c{key}", {}, [Example(word, cipher(key, word)) for word in words[:count]], [], index=0)


@pytest.mark.parametrize("counts", [(1, 3, 4), (2, 12, 7), (11, 5, 5), (9, 9, 9)], ids=str)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("in_parts", [False, True])
def test_each_learns_as_it_would_alone(
    run: Run, counts: tuple[int, ...], optimizer: str, in_parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With batches of 4: all at once, in an order of its own, or both in one stack, whole or in parts."""
    read: list[Batch] = []

    def remembered(*given: Any) -> list[Batch]:
        read[:] = adapting_batches(*given)
        return read

    monkeypatch.setattr(stacks, "adapting_batches", remembered)
    monkeypatch.setattr(stacks, "work_enough", lambda *_: False)
    parts = run.trained("cpu")
    adapting = Adapting(optimizer=optimizer, learning_rate=3e-2, steps=5, batch=4)
    episodes = [episode(key, count) for key, count in enumerate(counts, 1)]
    alone = [adapt_stack(run, parts, [one], adapting, 5, seed=3) for one in episodes]
    if in_parts:
        monkeypatch.setitem(encoding.PASS_COSTS, "fp32", 1.0)
    together = adapt_stack(run, parts, episodes, adapting, 5, seed=3)
    assert any(batch.others for batch in read) == in_parts
    for index, own in enumerate(alone):
        start = parts.learner.spread(1)
        assert max(float((own[name] - start[name]).abs().max()) for name in own) > 1e-3
        for name, weight in task_of(together, index).items():
            torch.testing.assert_close(weight, own[name], rtol=0, atol=2e-5)


@pytest.mark.parametrize(("characters", "widths"), [(300.0, [3]), (20.0, [1, 1, 1])])
def test_tasks_adapt_one_after_another_where_a_batch_is_work_enough(
    run: Run, characters: float, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of 4 are of some 30 characters here; every step is told, and each ends where it does alone."""
    read: list[int] = []

    def remembered(backbone: Any, prompts: Any, *rest: Any) -> list[Batch]:
        read.append(len(prompts))
        return adapting_batches(backbone, prompts, *rest)

    monkeypatch.setattr(stacks, "adapting_batches", remembered)
    monkeypatch.setitem(encoding.PASS_COSTS, "fp32", characters)
    parts, adapting, steps = run.trained("cpu"), Adapting(learning_rate=3e-2, batch=4), []
    episodes = [episode(key, count) for key, count in ((1, 5), (2, 12), (3, 7))]
    together = adapt_stack(run, parts, episodes, adapting, 5, seed=3, after_step=lambda: steps.append(1))
    assert read == widths
    assert len(steps) == 5 * len(widths)
    for index, one in enumerate(episodes):
        alone = adapt_stack(run, parts, [one], adapting, 5, seed=3)
        for name, weight in task_of(together, index).items():
            torch.testing.assert_close(weight, alone[name], rtol=0, atol=0 if widths[0] == 1 else 2e-5)


def targets_of(batch: Batch) -> list[list[list[int]]]:
    """Of each task the pieces of every row that carries loss, in order."""
    rows = [(at // (len(part.labels) // part.tasks), row) for part in batch.parts for at, row in enumerate(part.labels)]
    found = [(task, row[row != IGNORED].tolist()) for task, row in rows]
    return [sorted(pieces for task, pieces in found if task == own and pieces) for own in range(batch.tasks)]


@pytest.mark.parametrize("batch", [4, 8])
def test_adapting_comes_in_parts_of_like_length(run: Run, batch: int) -> None:
    """Each task's rows once, with the loss of the whole; every part of every step drops other activations."""
    parts = run.trained("cpu")
    prompts = [
        [Prompt("abc 1", "bcd"), Prompt("b" * 9, "c" * 9), Prompt("a", "b")],
        [Prompt("c" * count, "d" * count) for count in (7, 1, 2, 8, 1, 9, 3)],
    ]
    adapting = Adapting(batch=batch)
    whole = adapting_batches(parts.backbone, prompts, adapting, 3, 5, math.inf)
    cut = adapting_batches(parts.backbone, prompts, adapting, 3, 5, 1.0)
    assert all(len(each.parts) > 1 for each in cut)
    seeds = [part.seed for each in cut for part in each.parts]
    assert len(set(seeds)) == len(seeds)
    start = parts.learner.spread(2)
    for one, other in zip(whole, cut, strict=True):
        assert not one.others
        assert targets_of(one) == targets_of(other)
        torch.testing.assert_close(
            parts.learner.losses(start, one), parts.learner.losses(start, other), rtol=1e-5, atol=0
        )


def test_fillers_carry_no_loss(run: Run) -> None:
    """A task's loss is the mean over its own pieces, as plain transformers computes it from its rows."""
    parts = run.trained("cpu")
    prompts = [[Prompt("abc 1", "bcd")], [Prompt("bad 2", "dcf"), Prompt("cafe 2", "echg"), Prompt("h 2", "b")]]
    batch = encode_unequal(parts.backbone, prompts)
    assert [(rows != IGNORED).any(1).tolist() for rows in batch.labels.view(2, 3, -1)] == [
        [True, False, False],
        [True, True, True],
    ]
    losses = parts.learner.losses(parts.learner.spread(2), batch)
    for index, task in enumerate(prompts):
        alone = parts.backbone.encode([task])
        plain = parts.learner.model(**alone.inputs, labels=alone.labels).loss.detach()
        assert float(losses[index]) == pytest.approx(float(plain), abs=1e-5)
    assert torch.equal(encode_unequal(parts.backbone, [prompts[1]]).labels, parts.backbone.encode([prompts[1]]).labels)
