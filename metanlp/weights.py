"""Arithmetic on stacks of fast weights. A stack maps a name to a tensor `(tasks, *shape)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Weights = dict[str, "Tensor"]


def mean_over_tasks(weights: Weights) -> Weights:
    """Without the task axis: `(tasks, *shape)` -> `(shape)`."""
    return {name: tensor.squeeze(0) if tensor.shape[0] == 1 else tensor.mean(0) for name, tensor in weights.items()}


def own(weights: Weights) -> Weights:
    """A copy that nothing else writes to."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in weights.items()}
