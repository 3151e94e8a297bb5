"""bf16: near fp32, no cast of an earlier weight, and under Accelerate's own wrapping."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from learners import assert_close, different_weights, full_learner, lora_learner
from makers import make_batch, make_t5
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from metanlp.fast_weights.full import Full
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner
from metanlp.weights import own


def forget_accelerators() -> None:
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    PartialState._reset_state()


@pytest.fixture
def bf16_accelerator():
    forget_accelerators()  # of tests before this one
    yield lambda: Accelerator(cpu=True, mixed_precision="bf16")
    forget_accelerators()


@pytest.mark.parametrize("unwrap", [True, False])
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_model_that_accelerate_prepared_for_bf16_still_adapts(kind: str, unwrap: bool, bf16_accelerator) -> None:
    """The prepared forward is bound to the module's own weights; peers then stand still at the first inner loss."""
    accelerator = bf16_accelerator()
    model = accelerator.prepare(make_t5(dtype=torch.float32))
    if unwrap:
        model = accelerator.unwrap_model(model, keep_fp32_wrapper=True)
    fast = (Full() if kind == "full" else Lora(r=4)).attach(model, 0)
    learner, batch = Learner(model, fast, precision="bf16"), make_batch(rows=4)
    weights, losses = learner.spread(1), []
    for _ in range(4):
        loss, grads = learner.losses_and_grads(weights, batch)
        losses.append(float(loss))
        weights = {name: weight - 0.5 * grads[name] for name, weight in weights.items()}
    assert losses == sorted(losses, reverse=True)
    assert losses[0] - losses[-1] > 0.1


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_bf16_is_near_fp32(make) -> None:
    exact, rough = make(dtype=torch.float32), make(dtype=torch.float32, precision="bf16")
    batch = make_batch(rows=8)
    losses, grads = exact.losses_and_grads(exact.spread(1), batch)
    rough_losses, rough_grads = rough.losses_and_grads(rough.spread(1), batch)
    assert not torch.equal(losses, rough_losses)
    torch.testing.assert_close(rough_losses, losses, rtol=2e-2, atol=0)
    flat, rough_flat = (torch.cat([grad.flatten() for grad in each.values()]) for each in (grads, rough_grads))
    assert rough_flat.dtype == torch.float32
    assert F.cosine_similarity(flat, rough_flat, dim=0) > 0.99


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_bf16_serves_no_stale_casts(make) -> None:
    """The second inner step gives what a learner gives that never saw the first one's weights."""
    learner, fresh = (make(dtype=torch.float32, precision="bf16") for _ in range(2))
    batch = make_batch(rows=4)
    buffers = own(learner.spread(1))
    _, grads = learner.losses_and_grads(buffers, batch)
    for name, weight in buffers.items():
        weight.sub_(grads[name])  # in place, as the inner loop's buffers are
    second, second_grads = learner.losses_and_grads(buffers, batch)
    wanted, wanted_grads = fresh.losses_and_grads(own(buffers), batch)
    assert torch.equal(second, wanted)
    assert_close(second_grads, wanted_grads, rtol=0, atol=0)


class Casts(TorchDispatchMode):
    """The shapes that have been cast to bf16 meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._to_copy.default and kwargs["dtype"] == torch.bfloat16:
            self.shapes.append(tuple(args[0].shape))
        return function(*args, **(kwargs or {}))


def test_generating_casts_a_frozen_weight_once() -> None:
    learner, fresh = (lora_learner(dtype=torch.float32, precision="bf16") for _ in range(2))
    batch = make_batch(rows=2)
    frozen = {name for name, weight in learner.model.named_parameters() if not weight.requires_grad}
    wanted = Counter(tuple(weight.shape) for name, weight in learner.model.named_parameters() if "wi" in name)
    first, second = learner.spread(1), different_weights(learner, 1)
    for weights in (first, second):
        with Casts() as casts, learner.generating(weights) as model:
            one, other = (model(**batch.inputs).logits for _ in range(2))
        assert {shape: casts.shapes.count(shape) for shape in wanted} == wanted
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert not one.requires_grad
        assert {name for name, weight in learner.model.named_parameters() if not weight.requires_grad} == frozen
    with Casts() as casts, fresh.using(second) as model:
        assert torch.equal(other, model(**batch.inputs).logits)
        model(**batch.inputs)
    assert {shape: casts.shapes.count(shape) for shape in wanted} == {
        shape: 2 * count for shape, count in wanted.items()
    }
