"""SGD and Adam as functions of stacked weights: elementwise, so they do not know how many tasks there are.

Weights and gradients given are left as they are; a gradient of one task may be a `Product`. `factors`, `(tasks,)`, multiply
each task's gradient (clipping). `out` names tensors of the same shapes that receive the result instead of new ones; it may be
`weights` itself. The learning rate is one for all weights or, by name, one for each row, `(rows, 1, ..)`. Adam takes a few
weights at a time and, on a CPU, large ones in parts, so that what is made on the way stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from metanlp.weights import Gradients, Product, Weights

TOGETHER = 2**20  # numbers
Rates = float | Weights
Part = tuple[str, tuple[slice, ...]]  # a weight's name, and where in it


class Moments(NamedTuple):
    """Adam's running means of the gradient and of its square, `(tasks, *shape)`. Each step moves them in place."""

    first: Weights
    second: Weights

    @classmethod
    def zero(cls, weights: Weights, first: Weights | None = None, second: Weights | None = None) -> Moments:
        """Fresh ones for `weights`, in `first` and `second` where given: new ones take as long as a step to allocate."""
        if first is None or second is None:
            first, second = ({name: _like(weight) for name, weight in weights.items()} for _ in range(2))
        torch._foreach_zero_([*first.values(), *second.values()])
        return cls(first, second)


def sgd(
    weights: Weights, grads: Gradients, learning_rate: Rates, out: Weights | None = None, factors: Tensor | None = None
) -> Weights:
    """w - learning_rate * g."""
    moved, together = dict(weights), Weights()
    for name, grad in grads.items():
        weight, room, rate = weights[name], out[name] if out else None, rate_of(learning_rate, name)
        if factors is not None:
            rate = rate * _over(factors, weight)
        if isinstance(grad, Product):
            moved[name] = _along(weight, grad, rate, room)
        elif isinstance(rate, Tensor):
            moved[name] = torch.addcmul(weight, grad, rate, value=-1, out=room)
        elif room is weight:
            together[name] = grad
        else:
            moved[name] = torch.add(weight, grad, alpha=-rate, out=room)
    if together and not isinstance(learning_rate, dict):
        torch._foreach_add_([weights[name] for name in together], list(together.values()), alpha=-learning_rate)
    return moved


def _along(weight: Tensor, grad: Product, rate: float | Tensor, room: Tensor | None) -> Tensor:
    """`weight`, `(1, outputs, inputs)`, after a step of SGD; a rate may be one for each of its rows."""
    if isinstance(rate, Tensor):
        grad, rate = Product(grad.left * rate.reshape(1, -1), grad.right), 1.0
    moved = torch.addmm(weight[0], grad.left.T, grad.right, alpha=-rate, out=None if room is None else room[0])
    return moved.unsqueeze(0) if room is None else room


def adam(
    weights: Weights,
    grads: Gradients,
    moments: Moments,
    step: int,
    learning_rate: Rates,
    out: Weights | None = None,
    factors: Tensor | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> Weights:
    """Step number `step`, from 1, of Adam (Kingma and Ba, 2015) with bias correction, by torch's own kernel."""

    def step_on(tensors: list[Tensor], parts: list[Part], rate: float) -> None:
        theirs = [_gradient_at(grads[name], place) for name, place in parts]
        if factors is not None:
            scales = [_over(_at(factors, place[:1]), grad) for grad, (_, place) in zip(theirs, parts, strict=True)]
            theirs = [grad * scale for grad, scale in zip(theirs, scales, strict=True)]
        torch._fused_adam_(
            tensors,
            [grad.contiguous() for grad in theirs],  # as they lie in memory, where some are transposed views
            [_at(moments.first[name], place) for name, place in parts],
            [_at(moments.second[name], place) for name, place in parts],
            [],
            [torch.full((), step, dtype=torch.float32, device=tensors[0].device)] * len(parts),
            lr=rate,
            beta1=betas[0],
            beta2=betas[1],
            weight_decay=0.0,
            eps=epsilon,
            amsgrad=False,
            maximize=False,
        )

    moved = {name: out[name] if out else _like(weight) for name, weight in weights.items()}
    for parts in _groups(weights):
        ours = [_at(moved[name], place) for name, place in parts]
        if isinstance(learning_rate, dict):
            ways = [torch.zeros_like(our) for our in ours]
            step_on(ways, parts, 1.0)
            for (name, place), our, way in zip(parts, ours, ways, strict=True):
                torch.addcmul(_at(weights[name], place), way, _at(learning_rate[name], place[1:]), out=our)
        else:
            if any(moved[name] is not weights[name] for name, _ in parts):
                torch._foreach_copy_(ours, [_at(weights[name], place) for name, place in parts])
            step_on(ours, parts, learning_rate)
    return moved


def clip_factors(grads: Gradients, largest: float) -> Tensor:
    """What to multiply each task's gradient by so that its norm is at most `largest`: `(tasks,)`, 1 where it is shorter."""
    squares = [
        grad.square().view(1)
        if isinstance(grad, Product)
        else torch.linalg.vector_norm(grad.reshape(len(grad), -1), dim=1).square()
        for grad in grads.values()
    ]
    norms = torch.stack(squares).sum(0).sqrt()
    return (largest / (norms + 1e-6)).clamp(max=1.0)


def rate_of(learning_rate: Rates, name: str) -> float | Tensor:
    """Of one weight, or of each of its rows."""
    return learning_rate[name] if isinstance(learning_rate, dict) else learning_rate


def _groups(weights: Weights) -> Iterator[list[Part]]:
    """What moves together: many small weights in one call, a large one in parts."""
    parts: list[Part] = []
    numbers = 0
    for name, weight in weights.items():
        places = _places(weight)
        for place in places:
            parts.append((name, place))
            numbers += weight.numel() // len(places)
            if numbers >= TOGETHER:
                yield parts
                parts, numbers = [], 0
    if parts:
        yield parts


def _places(weight: Tensor) -> list[tuple[slice, ...]]:
    """On a CPU a large weight in parts of whole tasks or, of one task, of whole rows: each lies in one piece in memory."""
    count = -(-weight.numel() // TOGETHER)
    if count <= 1 or weight.device.type != "cpu":
        return [()]
    before = () if len(weight) > 1 or weight.dim() == 1 else (slice(None),)
    length = weight.shape[len(before)]
    size = -(-length // count)
    return [(*before, slice(start, start + size)) for start in range(0, length, size)]


def _at(tensor: Tensor, place: tuple[slice, ...]) -> Tensor:
    return tensor[place] if place else tensor


def _gradient_at(grad: Tensor | Product, place: tuple[slice, ...]) -> Tensor:
    """A product is made there and then, while what is made of it is in the cache."""
    return (
        grad.of_rows(place[1] if place else slice(None)).unsqueeze(0) if isinstance(grad, Product) else _at(grad, place)
    )


def _like(weight: Tensor) -> Tensor:
    return torch.empty_like(weight, memory_format=torch.contiguous_format)


def _over(factors: Tensor, weight: Tensor) -> Tensor:
    """`(tasks,)` as `(tasks, 1, ..)`, to multiply `weight` by."""
    return factors.view(-1, *[1] * (weight.dim() - 1))
