"""The learner against plain PyTorch on deep copies of the model."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_batch, make_t5, plain_loss, stacked, task_of, task_part
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from metanlp.algorithms.fomaml import FOMAML
from metanlp.batch import IGNORED, Batch, EncodedEpisodes
from metanlp.fast_weights.full import Full
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner
from metanlp.run import save_memory
from metanlp.weights import own

EXACT = {"rtol": 0.0, "atol": 1e-12}


def full_learner(**options) -> Learner:
    model = make_t5(options.pop("dropout", 0.0), dtype=options.pop("dtype", torch.float64))
    return Learner(model, Full().attach(model, 0), **options)


def lora_learner(dropout: float = 0.0, dtype: torch.dtype = torch.float64, **options) -> Learner:
    """With B not at its zero, so that A has gradients too."""
    model = make_t5(dropout)
    fast = Lora(r=2).attach(model, 0)
    model.to(dtype)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in fast.parameters.values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return Learner(model, fast, **options)


def different_weights(learner: Learner, tasks: int) -> dict:
    generator = torch.Generator().manual_seed(7)
    return {
        name: (weight + 0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)).to(weight.dtype)
        for name, weight in learner.spread(tasks).items()
    }


def assert_close(found: dict, wanted: dict, **tolerance) -> None:
    assert found.keys() == wanted.keys()
    for name in found:
        torch.testing.assert_close(
            found[name], wanted[name], **(tolerance or EXACT), msg=lambda text, name=name: f"{name}: {text}"
        )


def bits(learner: Learner) -> dict:
    return {name: weight.clone() for name, weight in learner.model.state_dict().items()}


def assert_same_bits(learner: Learner, before: dict) -> None:
    after = learner.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_full_losses_and_gradients_are_hugging_faces_own() -> None:
    learner, batch = full_learner(), make_batch(rows=3)
    oracle = copy.deepcopy(learner.model).train()
    plain_loss(oracle, batch).backward()
    losses, grads = learner.losses_and_grads(learner.spread(1), batch)
    torch.testing.assert_close(losses, plain_loss(oracle, batch).detach()[None], **EXACT)
    wanted = {name: weight.grad[None] for name, weight in oracle.named_parameters()}
    assert_close(grads, wanted)


def test_full_runs_with_the_weights_it_is_given() -> None:
    learner, batch = full_learner(), make_batch(rows=3)
    weights, before = different_weights(learner, 1), bits(learner)
    oracle = copy.deepcopy(learner.model)
    oracle.load_state_dict({**oracle.state_dict(), **task_of_one(weights)})
    oracle.tie_weights()
    torch.testing.assert_close(learner.losses(weights, batch), plain_loss(oracle, batch).detach()[None], **EXACT)
    assert_same_bits(learner, before)


def task_of_one(weights: dict) -> dict:
    return {name: weight[0] for name, weight in weights.items()}


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_stacked_gradients_are_those_of_single_tasks(tasks: int) -> None:
    learner, batch = lora_learner(), make_batch(tasks, rows=3, seed=tasks)
    weights = different_weights(learner, tasks)
    losses, grads = learner.losses_and_grads(weights, batch)
    single = [learner.losses_and_grads(task_of(weights, index), task_part(batch, index)) for index in range(tasks)]
    torch.testing.assert_close(losses, torch.cat([loss for loss, _ in single]), **EXACT)
    assert_close(grads, stacked([grad for _, grad in single]))
    assert all(grad.abs().sum(tuple(range(1, grad.dim()))).min() > 0 for grad in grads.values())


def test_lora_gradients_are_those_of_merged_weights() -> None:
    """dL/dA = s Bᵀ dL/dW and dL/dB = s dL/dW Aᵀ, where W is the plain layer's weight plus s B A."""
    learner, batch = lora_learner(), make_batch(rows=3)
    weights = different_weights(learner, 1)
    losses, grads = learner.losses_and_grads(weights, batch)
    oracle = make_t5()
    places = {name.removesuffix(".lora_A.weight") for name in weights if name.endswith("lora_A.weight")}
    scale = 16.0 / 2
    for place in places:
        layer = oracle.get_submodule(place)
        a, b = weights[f"{place}.lora_A.weight"][0], weights[f"{place}.lora_B.weight"][0]
        layer.weight.data += scale * b @ a
    loss = plain_loss(oracle, batch)
    loss.backward()
    torch.testing.assert_close(losses, loss.detach()[None], **EXACT)
    for place in places:
        a, b = weights[f"{place}.lora_A.weight"][0], weights[f"{place}.lora_B.weight"][0]
        grad = oracle.get_submodule(place).weight.grad
        torch.testing.assert_close(grads[f"{place}.lora_A.weight"][0], scale * b.T @ grad, **EXACT)
        torch.testing.assert_close(grads[f"{place}.lora_B.weight"][0], scale * grad @ a.T, **EXACT)


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_weights_of_one_task_run_a_batch_of_many(make) -> None:
    learner, batch = make(), make_batch(tasks=3, rows=2)
    start = learner.spread(1)
    losses, grads = learner.losses_and_grads(start, batch)
    single = [learner.losses_and_grads(start, task_part(batch, index)) for index in range(3)]
    torch.testing.assert_close(losses, torch.cat([loss for loss, _ in single]), **EXACT)
    assert_close(grads, {name: sum(grad[name] for _, grad in single) for name in start})


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_slow_weights_keep_their_bits_after_adapting(make) -> None:
    learner = make()
    before = bits(learner)
    tasks = 3 if learner.fast.stackable else 1
    for optimizer in ("sgd", "adam"):
        algorithm = FOMAML(inner_lr=0.1, inner_optimizer=optimizer)
        support = [make_batch(tasks, seed=seed) for seed in range(4)]
        algorithm.adapt(learner, learner.spread(tasks), support)
        assert_same_bits(learner, before)
        algorithm.meta_gradient(learner, EncodedEpisodes(support, make_batch(tasks, seed=9)))
        assert_same_bits(learner, before)


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_an_exception_in_the_forward_pass_leaves_the_slow_weights(make) -> None:
    learner, batch = make(), make_batch()
    before, weights = bits(learner), different_weights(learner, 1)

    def explode(*_) -> None:
        raise BrokenError

    handle = learner.model.lm_head.register_forward_hook(explode)
    with pytest.raises(BrokenError):
        learner.losses_and_grads(weights, batch)
    with pytest.raises(BrokenError):
        learner.losses(weights, batch)
    handle.remove()
    assert_same_bits(learner, before)
    fresh = make()
    assert torch.equal(learner.losses(learner.spread(1), batch), fresh.losses(fresh.spread(1), batch))


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_using_restores_after_an_exception(make) -> None:
    learner, batch = make(), make_batch()
    before, weights = bits(learner), different_weights(learner, 1)
    start_loss, other_loss = learner.losses(learner.spread(1), batch), learner.losses(weights, batch)
    assert not torch.equal(start_loss, other_loss)
    with pytest.raises(BrokenError), learner.using(weights) as model:  # noqa: PT012
        inside = plain_loss(model, batch)
        assert not torch.is_grad_enabled()
        assert not model.training
        raise BrokenError
    torch.testing.assert_close(inside[None], other_loss, **EXACT)
    assert_same_bits(learner, before)
    assert torch.equal(learner.losses(learner.spread(1), batch), start_loss)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_weights_are_not_put_twice(make) -> None:
    """Inside `using` another pass would leave the first weights behind as the slow ones."""
    learner, batch = make(), make_batch()
    before, weights = bits(learner), different_weights(learner, 1)
    with learner.using(weights), pytest.raises(RuntimeError, match="already"):
        learner.losses(learner.spread(1), batch)
    assert_same_bits(learner, before)
    learner.losses(weights, batch)
    assert_same_bits(learner, before)


def test_full_weights_refuse_a_stack_of_tasks() -> None:
    learner = full_learner()
    with pytest.raises(RuntimeError, match="one task"):
        learner.losses(learner.spread(2), make_batch(2))


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_weights_outside_the_graph_are_an_error(make) -> None:
    learner, batch = make(), make_batch()
    bound = copy.deepcopy(learner.model)
    learner.model.forward = bound.forward  # as wrappers do that keep the module of an earlier time
    with pytest.raises(RuntimeError, match="no fast weight is in the graph"):
        learner.losses_and_grads(learner.spread(1), batch)


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


def test_slow_weights_are_no_copies() -> None:
    learner = full_learner()
    for name, weight in learner.slow().items():
        assert weight.data_ptr() == learner.fast.parameters[name].data_ptr()
    for weight in learner.spread(3).values():
        assert weight.shape[0] == 3
        assert weight.stride(0) == 0


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


def test_weights_move_by_the_gradient_of_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a large weight that moves during the backward pass, and where layers are run again for their gradient."""
    monkeypatch.setattr("metanlp.learner.IN_CACHE", 1)
    monkeypatch.setattr("metanlp.learner.LARGE", 1)
    learner = full_learner()
    save_memory(learner.model)
    whole = make_batch(1, rows=5, seed=7, length=9)
    batch = replace(rows_of(whole, [4, 1, 3]), others=(rows_of(whole, [0, 2]),))
    weights = learner.spread(1)
    _, grads = full_learner().losses_and_grads(weights, whole)
    step = lambda some, theirs: {name: weight - 0.5 * theirs[name] for name, weight in some.items()}  # noqa: E731
    _, moved = learner.losses_and_moved(weights, batch, step)
    assert_close(moved, step(weights, grads), rtol=0, atol=1e-6)


def rows_of(batch: Batch, rows: list[int]) -> Batch:
    """Those rows of every task, no longer than they need to be."""
    count = batch.labels.shape[0] // batch.tasks
    chosen = torch.tensor([task * count + row for task in range(batch.tasks) for row in rows])
    labels, inputs = batch.labels[chosen], {name: tensor[chosen] for name, tensor in batch.inputs.items()}
    read, written = int(inputs["attention_mask"].sum(1).max()), int((labels != IGNORED).sum(1).max())
    lengths = {"input_ids": read, "attention_mask": read, "decoder_input_ids": written}
    cut = {name: tensor[:, : lengths[name]] for name, tensor in inputs.items()}
    return Batch(cut, labels[:, :written], batch.tasks)
