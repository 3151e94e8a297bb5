"""The learner's losses and gradients against plain PyTorch on deep copies of the model."""

from __future__ import annotations

import copy

import pytest
import torch
from learners import EXACT, assert_close, assert_same_bits, bits, different_weights, full_learner, lora_learner
from makers import make_batch, make_t5, plain_loss, stacked, task_of, task_part


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


def test_slow_weights_are_no_copies() -> None:
    learner = full_learner()
    for name, weight in learner.slow().items():
        assert weight.data_ptr() == learner.fast.parameters[name].data_ptr()
    for weight in learner.spread(3).values():
        assert weight.shape[0] == 3
        assert weight.stride(0) == 0


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
