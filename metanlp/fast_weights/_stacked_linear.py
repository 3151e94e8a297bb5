"""A frozen linear layer plus, for every task of a batch, that task's low-rank update."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metanlp.data.seeds import seed_of


class StackedLinear(nn.Module):
    """y = base(x) + scale * x Aᵀ Bᵀ, where row t of the task axis of x meets A[t] and B[t].

    x is `(tasks * rows, ..., in)`, the rows of a task side by side. `fast` is `(A, B)`, `(tasks, r, in)` and
    `(tasks, out, r)`; None runs with the slow `lora_A`, `lora_B`. The base's large product is shared by all tasks.
    """

    def __init__(self, base: nn.Linear, r: int, scale: float, init: str, seed: tuple[int, int]) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        generator = torch.Generator().manual_seed(seed_of("lora", *seed))
        start = torch.empty(r, base.in_features)
        if init == "kaiming":
            nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        else:
            start.normal_(std=1 / r, generator=generator)
        self.lora_A = nn.Parameter(start.to(base.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r, device=base.weight.device))
        self.fast: tuple[Tensor, Tensor] | None = None

    @property
    def weight(self) -> Tensor:
        """The base's weight: some models look at its dtype."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.fast if self.fast is not None else (self.lora_A[None], self.lora_B[None])
        low = torch.matmul(x.reshape(a.shape[0], -1, x.shape[-1]), a.transpose(1, 2))
        y = self.base(x)
        return y + (torch.matmul(low, b.transpose(1, 2)) * self.scale).reshape(y.shape)

    def merged(self, a: Tensor, b: Tensor) -> nn.Linear:
        """A linear layer that does the same with A and B of one task, without the task axis; the base stays as it is."""
        with torch.device("meta"):
            linear = nn.Linear(self.base.in_features, self.base.out_features, bias=False)
        linear.weight = nn.Parameter(self.base.weight + self.scale * (b @ a), requires_grad=False)
        linear.bias = self.base.bias
        return linear


def put_in_place(model: nn.Module, place: str, module: nn.Module) -> None:
    """Make `module` what the model has at `place`."""
    parent, _, attribute = place.rpartition(".")
    setattr(model.get_submodule(parent), attribute, module)
