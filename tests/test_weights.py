"""Arithmetic on stacks, by hand."""

from __future__ import annotations

import torch
from makers import task_of

from metanlp.weights import mean_over_tasks, own

STACK = {"w": torch.tensor([[1.0, 2.0], [3.0, 6.0]]), "b": torch.tensor([0.0, 1.0])}


def test_the_mean_has_no_task_axis() -> None:
    mean = mean_over_tasks(STACK)
    assert mean["w"].tolist() == [2.0, 4.0]
    assert mean["b"].tolist() == 0.5
    one = mean_over_tasks(task_of(STACK, 1))
    assert one["w"].tolist() == [3.0, 6.0]
    assert one["b"].tolist() == 1.0


def test_ones_own_copy_is_nobody_elses() -> None:
    spread = {"w": torch.ones(2, requires_grad=True).unsqueeze(0).expand(3, 2)}
    copy = own(spread)
    assert copy["w"].is_contiguous()
    assert not copy["w"].requires_grad
    copy["w"][0] = 7  # would be refused for an expanded view
    assert copy["w"][1].tolist() == [1, 1]
    assert spread["w"].detach()[0].tolist() == [1, 1]
