"""What one forward pass reads: the rows of T tasks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

IGNORED = -100  # labels that carry no loss


@dataclass(frozen=True)
class Batch:
    """Rows of `tasks` tasks, task after task, the same number of rows for each.

    `inputs` are the model's own arguments, each `(tasks * rows, length)`. `labels`, `(tasks * rows, target length)`, stand
    where the logits that predict them stand; IGNORED carries no loss. `seed` fixes the dropout of this pass. `others` are
    further rows of the same tasks, of other lengths: a task's loss is over all of them.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    tasks: int
    seed: int | None = None
    others: tuple[Batch, ...] = ()

    @property
    def parts(self) -> tuple[Batch, ...]:
        """Itself and the others: each is read by itself."""
        return (self, *self.others)

    @property
    def examples(self) -> int:
        return sum(part.labels.shape[0] for part in self.parts)

    def to(self, device: torch.device | str) -> Batch:
        inputs = {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()}
        others = tuple(other.to(device) for other in self.others)
        return replace(self, inputs=inputs, labels=self.labels.to(device, non_blocking=True), others=others)


@dataclass(frozen=True)
class EncodedEpisodes:
    """A stack of episodes: what to learn from, a batch for every inner step, and what to be judged on."""

    support: Sequence[Batch]
    query: Batch

    @property
    def tasks(self) -> int:
        return self.query.tasks

    def to(self, device: torch.device | str) -> EncodedEpisodes:
        return EncodedEpisodes([batch.to(device) for batch in self.support], self.query.to(device))


def pad(rows: Sequence[Sequence[int]], value: int, length: int | None = None) -> Tensor:
    """`(rows, longest)` int64, short rows filled up with `value` on the right."""
    length = max(1, length or max((len(row) for row in rows), default=1))
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows], dtype=torch.long)
