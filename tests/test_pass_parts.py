"""What a pass has besides its model: smoothed labels, dropout by a seed, layers run again, batches in parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learners import assert_close, different_weights, full_learner, lora_learner
from makers import make_batch

from metanlp.batch import IGNORED, Batch
from metanlp.run import save_memory


@given(smoothing=st.floats(0.01, 0.9), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_label_smoothing_is_the_mixture_of_targets(smoothing: float, seed: int) -> None:
    """-(1 - e) log p(target) - e / V * sum over pieces of log p(piece), by hand; never when judging."""
    learner, batch = full_learner(label_smoothing=smoothing), make_batch(rows=3, seed=seed)
    with torch.no_grad():
        logs = learner.model(**batch.inputs).logits.log_softmax(-1)
    known = batch.labels != IGNORED
    target = logs.gather(-1, batch.labels.clamp(min=0)[..., None])[..., 0]
    by_hand = -((1 - smoothing) * target + smoothing * logs.mean(-1))[known].mean()
    losses, _ = learner.losses_and_grads(learner.spread(1), batch)
    torch.testing.assert_close(losses[0].double(), by_hand, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        learner.losses(learner.spread(1), batch)[0].double(), -target[known].mean(), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_dropout_is_a_function_of_the_batchs_seed(make) -> None:
    learner = make(dropout=0.3)
    weights = learner.spread(1)
    torch.manual_seed(1)
    first, _ = learner.losses_and_grads(weights, make_batch(dropout_seed=4))
    drawn = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), drawn), "the generator went on as if nothing had been drawn"
    again, _ = learner.losses_and_grads(weights, make_batch(dropout_seed=4))
    other, _ = learner.losses_and_grads(weights, make_batch(dropout_seed=5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(learner.losses(weights, make_batch(dropout_seed=4)), learner.losses(weights, make_batch()))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_gradient_checkpointing_changes_no_gradient(make, precision: str) -> None:
    plain = make(dropout=0.3, dtype=torch.float32, precision=precision)
    saving = make(dropout=0.3, dtype=torch.float32, precision=precision)
    save_memory(saving.model)
    passes = []
    layer = saving.model.encoder.block[0]
    layer.layer[0].SelfAttention.q.register_forward_hook(lambda *_: passes.append(1))
    tasks = 3 if plain.fast.stackable else 1
    weights, batch = different_weights(plain, tasks), make_batch(tasks, rows=2, dropout_seed=11)
    losses, grads = plain.losses_and_grads(weights, batch)
    found, found_grads = saving.losses_and_grads(weights, batch)
    assert len(passes) == 2  # it did run the layer again
    torch.testing.assert_close(found, losses, rtol=0, atol=1e-6)
    assert_close(found_grads, grads, rtol=0, atol=1e-6)


def test_many_logits_are_chunked_to_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch = full_learner(label_smoothing=0.1), make_batch(rows=6)
    losses, grads = learner.losses_and_grads(learner.spread(1), batch)
    monkeypatch.setattr("metanlp.pass_parts.LOGITS_AT_ONCE", 1)
    again, chunked = learner.losses_and_grads(learner.spread(1), batch)
    torch.testing.assert_close(losses, again, rtol=0, atol=1e-12)
    assert_close(grads, chunked)


@pytest.mark.parametrize(("make", "tasks"), [(full_learner, 1), (lora_learner, 1), (lora_learner, 3)])
def test_a_batch_in_parts_is_the_batch(make, tasks: int) -> None:
    learner = make()
    whole = make_batch(tasks, rows=5, seed=7, length=9)
    parts = [rows_of(whole, rows) for rows in ([4, 1], [0], [3, 2])]
    assert len({part.labels.shape for part in parts}) > 1  # cut down to what their rows need
    batch = replace(parts[0], others=tuple(parts[1:]))
    weights = learner.spread(tasks)
    losses, grads = learner.losses_and_grads(weights, batch)
    wanted, right = learner.losses_and_grads(weights, whole)
    torch.testing.assert_close(losses, wanted, rtol=0, atol=1e-6)  # T5 normalises in float32
    for name, grad in right.items():
        torch.testing.assert_close(grads[name], grad, rtol=0, atol=1e-6)
    torch.testing.assert_close(learner.losses(weights, batch), learner.losses(weights, whole), rtol=0, atol=1e-6)
    assert batch.examples == whole.examples


def test_a_batch_in_parts_is_refused_where_rows_have_an_order() -> None:
    learner, batch = full_learner(), make_batch(1, rows=2)
    with pytest.raises(ValueError, match="not in parts"):
        learner.row_losses(learner.spread(1), replace(batch, others=(batch,)))


def rows_of(batch: Batch, rows: list[int]) -> Batch:
    """Those rows of every task, no longer than they need to be."""
    count = batch.labels.shape[0] // batch.tasks
    chosen = torch.tensor([task * count + row for task in range(batch.tasks) for row in rows])
    labels, inputs = batch.labels[chosen], {name: tensor[chosen] for name, tensor in batch.inputs.items()}
    read, written = int(inputs["attention_mask"].sum(1).max()), int((labels != IGNORED).sum(1).max())
    lengths = {"input_ids": read, "attention_mask": read, "decoder_input_ids": written}
    cut = {name: tensor[:, : lengths[name]] for name, tensor in inputs.items()}
    return Batch(cut, labels[:, :written], batch.tasks)
