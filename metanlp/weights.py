"""Arithmetic on stacks of fast weights. A stack maps a name to a tensor `(tasks, *shape)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Weights = dict[str, "Tensor"]
ROWS = ":rows"  # behind a weight's name: of its rows


def mean_over_tasks(weights: Weights) -> Weights:
    """Without the task axis: `(tasks, *shape)` -> `(shape)`."""
    return {name: tensor.squeeze(0) if tensor.shape[0] == 1 else tensor.mean(0) for name, tensor in weights.items()}


def own(weights: Weights) -> Weights:
    """A copy that nothing else writes to."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in weights.items()}


def side_by_side(stacks: Sequence[Weights]) -> Weights:
    """Their task axes joined: stacks of T and U tasks make one of T + U."""
    import torch

    if len(stacks) == 1:
        return stacks[0]
    return {name: torch.cat([weights[name] for weights in stacks]) for name in stacks[0]}
