"""SGD and Adam as functions of stacked weights: elementwise, so they do not know how many tasks there are.

Weights and gradients given are left as they are. `out` names tensors of the same shapes that receive the result instead of
new ones; it may be `weights` itself. Adam's state is handed on from step to step and moves in place: with full weights a
new one would be two more models a step, which the system would have to give and take back.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metanlp.weights import Weights


class AdamState(NamedTuple):
    """First and second moments, `(tasks, *shape)`, after `steps` steps. A step uses it up and returns the next."""

    steps: int
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]


def sgd(weights: Weights, grads: Weights, learning_rate: float, out: Weights | None = None) -> Weights:
    """w - learning_rate * g."""
    gradients = [grads[name] for name in weights]
    if out is not None and all(out[name] is weight for name, weight in weights.items()):
        torch._foreach_add_(list(weights.values()), gradients, alpha=-learning_rate)
        return weights
    return {
        name: torch.add(weight, grad, alpha=-learning_rate, out=out[name] if out else None)
        for (name, weight), grad in zip(weights.items(), gradients, strict=True)
    }


def adam(
    weights: Weights,
    grads: Weights,
    state: AdamState | None,
    learning_rate: float,
    out: Weights | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> tuple[Weights, AdamState]:
    """One step of Adam (Kingma and Ba, 2015) with bias correction; `state` None is a fresh one."""
    gradients = [grads[name] for name in weights]
    if state is None:
        first = torch._foreach_mul(gradients, 1 - betas[0])
        second = torch._foreach_mul(torch._foreach_mul(gradients, gradients), 1 - betas[1])
        steps = 1
    else:
        steps, first, second = state.steps + 1, state.first, state.second
        torch._foreach_lerp_(first, gradients, 1 - betas[0])
        torch._foreach_mul_(second, betas[1])
        torch._foreach_addcmul_(second, gradients, gradients, value=1 - betas[1])
    step_size, correction = learning_rate / (1 - betas[0] ** steps), (1 - betas[1] ** steps) ** 0.5
    moved = {}
    for (name, weight), m, v in zip(weights.items(), first, second, strict=True):
        divisor = v.sqrt().div_(correction).add_(epsilon)
        moved[name] = torch.addcdiv(weight, m, divisor, value=-step_size, out=out[name] if out else None)
    return moved, AdamState(steps, first, second)


def clipped(grads: Weights, largest: float) -> Weights:
    """Each task's gradient scaled down to the norm `largest` where it is longer."""
    squares = [torch.linalg.vector_norm(grad.flatten(1), dim=1).square() for grad in grads.values()]
    norms = torch.stack(squares).sum(0).sqrt()  # (tasks,)
    factors = (largest / (norms + 1e-6)).clamp(max=1.0)
    return {name: grad * factors.view(-1, *[1] * (grad.dim() - 1)) for name, grad in grads.items()}
