"""The benchmark of the whole step: both sides do the same work, and what is counted is what there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plain_training
import pytest
import torch
import watching
import whole_step
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from backbones.causal_models import save_causal
from makers import plain_recipe
from watching import Lap, Watch

from metanlp.backbones.causal import Causal
from metanlp.batch import IGNORED, Batch
from metanlp.checkpoint import latest_checkpoint
from metanlp.config.load import build_recipe
from metanlp.data.types import Prompt
from metanlp.learner import Learner
from metanlp.outer import COUNTS
from metanlp.run import Run
from metanlp.training import train_stage

STEPS, META_BATCH, EXAMPLES = 2, 4, 4 + 2


@pytest.fixture
def apart() -> Iterator[None]:
    """What Trainer says of processes and precision does not outlive the test."""
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._shared_state.clear()


def run_of(collection: Path, folder: Path, **changed: Any) -> Run:
    recipe = watching.steps_of(build_recipe(plain_recipe(collection) | changed), "meta", STEPS)
    return Run.create(recipe, folder).at("meta-0")


@pytest.mark.parametrize(
    ("fast_weights", "precision"), [("full", "fp32"), ("full", "bf16"), ({"kind": "lora", "r": 2}, "fp32")]
)
def test_both_sides_read_the_same_pieces(fast_weights, precision, collection: Path, tmp_path: Path, apart) -> None:
    run = run_of(collection, tmp_path / "run", fast_weights=fast_weights, precision=precision)
    found = whole_step.of_a_block(run, Accelerator(cpu=True), tmp_path)
    meta, plain = found["meta"], found["Trainer"]
    assert meta["real"] == plain["real"] > 0
    assert meta["pieces"] >= meta["real"]
    assert meta["steps"] == STEPS
    rows = 2 if fast_weights == "full" else 2 * META_BATCH
    assert plain["steps"] == STEPS * META_BATCH * EXAMPLES / rows
    assert all(meta["seconds"][name] > 0 for name in watching.SECTIONS)
    assert meta["operations"] > 0


def test_a_lap_is_a_step(collection: Path, tmp_path: Path) -> None:
    run, before = run_of(collection, tmp_path), Learner.losses_and_grads
    times = iter(range(10**6))
    with watching.watching(run.recipe, run.stage, lambda: float(next(times))) as watch:
        began = watch._since
        train_stage(run, Accelerator(cpu=True), [])
    assert Learner.losses_and_grads is before
    assert sum(sum(lap.seconds.values()) for lap in watch.laps) == watch._since - began  # every moment once
    _, *laps, _ = watch.laps
    assert len(laps) == STEPS
    numbers = sum(weight.numel() for weight in run.build("cpu").learner.slow().values())
    for step, lap in enumerate(laps, start=1):
        assert [[episode.index for episode in stack] for stack in lap.episodes] == [
            [step * META_BATCH + place] for place in range(META_BATCH)
        ]
        assert len(lap.stacks) == META_BATCH
        assert lap.bytes == 4 * (numbers + COUNTS)
        assert not lap.operations  # counted while warming up


def test_trainer_goes_on_from_what_the_stage_has_learnt(collection: Path, tmp_path: Path, apart) -> None:
    run = run_of(collection, tmp_path)
    before = run.build("cpu").backbone.model.state_dict()
    train_stage(run, Accelerator(cpu=True), [])
    checkpoint = latest_checkpoint(run.checkpoints)
    assert checkpoint is not None
    learnt = checkpoint.tensors["slow"]
    plain = plain_training.plain_model(run)[0].state_dict()
    assert all(torch.equal(plain[name], weight) for name, weight in learnt.items())
    assert not all(torch.equal(before[name], weight) for name, weight in learnt.items())


def test_time_belongs_to_the_innermost_section() -> None:
    moments = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    watch = Watch(lambda: next(moments))
    with watch.section("outer"), watch.section("inner"):  # from 1 and from 3, to 6
        pass
    watch.next_lap()  # outer ended at 10
    first = watch.laps[0].seconds
    assert dict(first) == {watching.REST: 1.0 + 5.0, "outer": 2.0 + 4.0, "inner": 3.0}
    assert watch.lap == Lap()


def test_pieces_of_a_batch_with_a_decoder() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    labels = torch.tensor([[5, 6], [7, IGNORED]])
    one = Batch({"input_ids": mask, "attention_mask": mask}, labels, 1)
    both = Batch({"input_ids": mask[:1], "attention_mask": mask[:1]}, labels[:1], 1, others=(one,))
    assert watching.pieces_of(one) == (5 + 3, 6 + 4)
    assert watching.pieces_of(both) == (8 + 2 + 2, 10 + 3 + 2)


def test_a_causal_models_rows_count_alike_on_both_sides(tmp_path: Path) -> None:
    from transformers import DataCollatorForSeq2Seq

    backbone = Causal(model="", max_length=200).open(str(save_causal("llama", tmp_path)))
    prompts = [Prompt("a", "well, hello", turns=("hi there",)), Prompt("b", "no", turns=("you", "me", "who is it"))]
    rows = [plain_training.row_of(backbone, prompt) for prompt in prompts]
    lengths = [len(row["input_ids"]) - 1 for row in rows]  # the last piece is written, not read
    wanted = sum(lengths), 2 * max(lengths)
    assert lengths[0] != lengths[1]
    assert watching.pieces_of(backbone.encode([prompts])) == wanted
    collate = DataCollatorForSeq2Seq(backbone.tokenizer, backbone.model)
    assert plain_training.pieces_of(collate(rows), writes=False) == wanted
    replies = [[piece for piece in row["labels"] if piece != IGNORED] for row in rows]
    assert replies == [list(backbone.learnt(prompt).reply) for prompt in prompts]


def test_shares_and_ratios_of_a_table() -> None:
    side = {"seconds": {watching.PASSES: 3.0, watching.REST: 1.0}, "real": 80, "pieces": 100, "steps": 2}
    block = {"meta": side | {"operations": 2e9}, "Trainer": side | {"real": 40}}
    row = {"precision": "fp32", "ceiling": {"fp32": 2.0}, "blocks": [block]}
    text = whole_step.table([row])
    assert "fp32: 2.00 of Trainer's pieces a second [2.00, 2.00]; wanted: 0.9 or more" in text
    assert "fp32: 20.0% of the pieces are padding" in text
    assert "fp32: 25.0% of the time is outside forward and backward" in text
    assert "fp32: 25% of the ceiling, 2 GFLOP/s" in text
