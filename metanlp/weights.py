"""Arithmetic on stacks of fast weights. A stack maps a name to a tensor `(tasks, *shape)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

Weights = dict[str, "Tensor"]
ROWS = ":rows"  # behind a weight's name: of its rows


class Product(NamedTuple):
    """One task's gradient of a matrix, `(outputs, inputs)`, as the factors of `left.T @ right`.

    Of a linear layer `left`, `(rows, outputs)`, is the gradient of what it gave and `right`, `(rows, inputs)`, what it read;
    both are small beside the matrix where rows are few. What is done along such a gradient can be a part of the product, and
    no gradient is written to memory, to be read again.
    """

    left: Tensor
    right: Tensor

    def of_rows(self, place: slice) -> Tensor:
        """The gradient of some rows of the matrix."""
        return self.left[:, place].T @ self.right

    def square(self) -> Tensor:
        """The sum of its squares, `()`, from products of its rows."""
        return ((self.left @ self.left.T) * (self.right @ self.right.T)).sum().clamp(min=0)

    def added_to(self, matrix: Tensor, weight: float = 1.0) -> Tensor:
        """`matrix`, in its own storage, and `weight` times the gradient."""
        return matrix.addmm_(self.left.T, self.right, alpha=weight)


Gradients = Mapping[str, "Tensor | Product"]  # `(tasks, *shape)`, or of one task a product


def mean_over_tasks(grads: Gradients) -> Gradients:
    """Without the task axis: `(tasks, *shape)` -> `(shape)`."""
    return {
        name: grad if isinstance(grad, Product) else grad.squeeze(0) if len(grad) == 1 else grad.mean(0)
        for name, grad in grads.items()
    }


def plus(total: Gradients, grads: Gradients, weight: float) -> Gradients:
    """`total` and `weight` times `grads`, neither with a task axis. Tensors of `total` are added to in their own storage.

    To nothing, {}, is added what may be `grads` themselves. Two products are written out, since the factors of many batches
    would outgrow the matrix.
    """
    if not total and weight == 1:
        return grads
    if not total:
        return {
            name: Product(grad.left, grad.right * weight) if isinstance(grad, Product) else grad * weight
            for name, grad in grads.items()
        }
    rooms = {name: one.of_rows(slice(None)) if isinstance(one, Product) else one for name, one in total.items()}
    add(rooms, grads, weight)
    return rooms


def add(rooms: Weights, grads: Gradients, weight: float) -> None:
    """Adds `weight` times `grads`, without a task axis, to what stands in `rooms` under their names."""
    import torch

    whole = {name: grad for name, grad in grads.items() if not isinstance(grad, Product)}
    if whole:
        torch._foreach_add_([rooms[name] for name in whole], list(whole.values()), alpha=weight)
    for name, grad in grads.items():
        if isinstance(grad, Product):
            grad.added_to(rooms[name], weight)


def joined(products: Sequence[Product]) -> Product:
    """Their sum."""
    import torch

    if len(products) == 1:
        return products[0]
    return Product(*(torch.cat(factors) for factors in zip(*products, strict=True)))


def own(weights: Weights) -> Weights:
    """A copy that nothing else writes to."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in weights.items()}


def side_by_side(stacks: Sequence[Weights]) -> Weights:
    """Their task axes joined: stacks of T and U tasks make one of T + U."""
    import torch

    if len(stacks) == 1:
        return stacks[0]
    return {name: torch.cat([weights[name] for weights in stacks]) for name in stacks[0]}
