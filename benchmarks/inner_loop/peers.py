"""FOMAML as one writes it without metanlp: task after task, the query's gradient added to the slow weights' `grad`.

A peer takes a model and the inner learning rate, and gives a function that runs one task's batches, the query last. What
takes part is what `requires_grad`. Each is written the cheapest way its library has for gradients of the first order.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from metanlp.batch import Batch

from cases import loss_of

Episode = Callable[[Sequence["Batch"]], None]
Peer = Callable[["nn.Module", float], Episode]


def in_place(model: nn.Module, learning_rate: float) -> Episode:
    """The weights themselves move, and return to the start after the query: for few weights, as those of an adapter."""
    import torch

    weights = [weight for weight in model.parameters() if weight.requires_grad]

    def episode(batches: Sequence[Batch]) -> None:
        start = [weight.detach().clone() for weight in weights]
        *support, query = batches
        for batch in support:
            grads = torch.autograd.grad(_loss(model, batch), weights)
            with torch.no_grad():
                torch._foreach_add_(weights, grads, alpha=-learning_rate)
        _loss(model, query).backward()
        with torch.no_grad():
            torch._foreach_copy_(weights, start)

    return episode


def deepcopy(model: nn.Module, learning_rate: float) -> Episode:
    """A copy of the model for each task, moved by torch's own SGD."""
    import torch

    def episode(batches: Sequence[Batch]) -> None:
        task = copy.deepcopy(model)
        optimizer = torch.optim.SGD(task.parameters(), lr=learning_rate)
        *support, query = batches
        for batch in support:
            _loss(task, batch).backward()
            optimizer.step()
            optimizer.zero_grad()
        _loss(task, query).backward()
        _add(model.parameters(), [weight.grad for weight in task.parameters()])

    return episode


def functional_call(model: nn.Module, learning_rate: float) -> Episode:
    """`torch.func`: the model as a function of weights that are made anew at each step."""
    import torch

    slow = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

    def episode(batches: Sequence[Batch]) -> None:
        fast: Sequence[Tensor] = list(slow.values())
        *support, query = batches
        for batch in support:
            grads = torch.autograd.grad(_loss_with(model, slow, fast, batch), fast)
            with torch.no_grad():
                fast = torch._foreach_add(fast, grads, alpha=-learning_rate)
            for weight in fast:
                weight.requires_grad_()
        _add(slow.values(), torch.autograd.grad(_loss_with(model, slow, fast, query), fast))

    return episode


def learn2learn(model: nn.Module, learning_rate: float) -> Episode:
    """`MAML(first_order=True)`: the query's gradient flows back through the clone to the model."""
    from learn2learn.algorithms import MAML

    maml = MAML(model, learning_rate, first_order=True, allow_nograd=True)

    def episode(batches: Sequence[Batch]) -> None:
        task = maml.clone()
        *support, query = batches
        for batch in support:
            task.adapt(_loss(task, batch))
        _loss(task, query).backward()

    return episode


def higher(model: nn.Module, learning_rate: float) -> Episode:
    """`innerloop_ctx` that tracks no second order: the gradient is asked for at the last weights."""
    import torch
    from higher import innerloop_ctx

    slow = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(slow, lr=learning_rate)

    def episode(batches: Sequence[Batch]) -> None:
        *support, query = batches
        options = {"copy_initial_weights": False, "track_higher_grads": False}
        with innerloop_ctx(model, optimizer, **options) as (task, steps):
            for batch in support:
                steps.step(_loss(task, batch))
            fast = [weight for weight in task.parameters() if weight.requires_grad]
            _add(slow, torch.autograd.grad(_loss(task, query), fast))

    return episode


def torchopt(model: nn.Module, learning_rate: float) -> Episode:
    """Its functional SGD; its meta-optimisers always build the graph of the second order."""
    import torch
    from torchopt import apply_updates, sgd

    rule = sgd(learning_rate)
    slow = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

    def episode(batches: Sequence[Batch]) -> None:
        fast = tuple(slow.values())
        state = rule.init(fast)
        *support, query = batches
        for batch in support:
            grads = torch.autograd.grad(_loss_with(model, slow, fast, batch), fast)
            updates, state = rule.update(grads, state, params=fast, inplace=True)
            with torch.no_grad():
                fast = apply_updates(fast, updates, inplace=False)
            for weight in fast:
                weight.requires_grad_()
        _add(slow.values(), torch.autograd.grad(_loss_with(model, slow, fast, query), fast))

    return episode


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    return loss_of(model(**batch.inputs, use_cache=False).logits, batch)


def _loss_with(model: nn.Module, names: Iterable[str], weights: Sequence[Tensor], batch: Batch) -> Tensor:
    from torch.func import functional_call

    given = dict(zip(names, weights, strict=True))
    return loss_of(functional_call(model, given, (), {**batch.inputs, "use_cache": False}).logits, batch)


def _add(slow: Iterable[Tensor], grads: Sequence[Tensor | None]) -> None:
    """The gradients to what stands in `grad`, or in its place where nothing does."""
    for weight, grad in zip(slow, grads, strict=True):
        if weight.grad is None:
            weight.grad = grad
        elif grad is not None:
            weight.grad += grad
