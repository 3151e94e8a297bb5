"""The outer step's bookkeeping: the sum of meta-gradients that ranks exchange, the learning rate, what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metanlp.algorithms._inner_loop import MetaGradient
from metanlp.checkpoint import Checkpoint
from metanlp.config.recipe import Train
from metanlp.learner import Learner
from metanlp.weights import Weights, add

COUNTS = 4  # tasks, sum of query losses, passes, ranks that were asked to stop
Learnt = Mapping[str, nn.Parameter]  # what an algorithm's outer steps move


class Total:
    """The meta-gradients of one step, added up in one flat buffer: ranks exchange that, once a step."""

    def __init__(self, learnt: Learnt) -> None:
        self.shapes = {name: weight.shape for name, weight in learnt.items()}
        numbers, device = sum(weight.numel() for weight in learnt.values()), next(iter(learnt.values())).device
        self.flat = torch.zeros(numbers + COUNTS, device=device)
        self.grads = self._views(self.flat)

    def clear(self) -> None:
        self.flat.zero_()

    def add(self, result: MetaGradient, tasks: int) -> None:
        add(self.grads, result.grads, tasks)
        self.flat[-COUNTS:] += self.flat.new_tensor([tasks, float(result.losses.sum()), result.passes, 0])

    def ask_to_stop(self) -> None:
        self.flat[-1] = 1

    def means(self, flat: Tensor) -> tuple[Weights, float, int, bool]:
        """From the sum over ranks, whose storage it takes: the mean gradient and query loss over tasks, the passes of
        the step, and whether a rank was asked to stop."""
        tasks, loss, passes, stopping = flat[-COUNTS:].tolist()
        flat[:-COUNTS].div_(tasks)
        return self._views(flat), loss / tasks, round(passes), stopping > 0

    def _views(self, flat: Tensor) -> Weights:
        pieces = flat[:-COUNTS].split([shape.numel() for shape in self.shapes.values()])
        return {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}


def learning_rate(train: Train, step: int) -> float:
    """The outer learning rate of `step`: a linear rise over `warmup` steps, then the decay, ending at 0."""
    if step < train.warmup:
        return train.learning_rate * (step + 1) / train.warmup
    part = (step - train.warmup) / max(1, train.steps - train.warmup)
    fall = {"none": 1.0, "linear": 1 - part, "cosine": (1 + math.cos(math.pi * part)) / 2}
    return train.learning_rate * fall[train.decay]


def set_grads(learnt: Learnt, grads: Weights) -> None:
    """Hand the meta-gradient to the outer optimiser."""
    for name, parameter in learnt.items():
        parameter.grad = grads[name]


def outer_optimizer(learnt: Learnt, train: Train) -> torch.optim.Optimizer:
    """Steps what is learnt along the meta-gradient."""
    weights = list(learnt.values())
    kind = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[train.optimizer]
    return kind(weights, lr=train.learning_rate, weight_decay=train.weight_decay, fused=True)


def freeze_state(
    learner: Learner, learnt: Learnt, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> Checkpoint:
    """Slow weights, rates, and the optimiser's moments by the weights' names, never by order."""
    moments = {
        f"{name}|{key}": value
        for name, parameter in learnt.items()
        for key, value in optimizer.state[parameter].items()
        if isinstance(value, Tensor)  # SGD keeps an empty momentum
    }
    tensors = {"slow": learner.slow(), "optimizer": moments}
    if learner.rates:
        tensors["rates"] = {name: rate.detach() for name, rate in learner.rates.items()}
    return Checkpoint(tensors, state)


def thaw_state(
    learner: Learner, learnt: Learnt, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint
) -> dict[str, Any]:
    """The inverse of `freeze_state`, into the learner and the optimiser; returns the plain state."""
    learner.load(checkpoint.tensors["slow"], checkpoint.tensors.get("rates", {}))
    moments: dict[str, dict[str, Tensor]] = {}
    for key, value in checkpoint.tensors["optimizer"].items():
        name, _, moment = key.rpartition("|")
        moments.setdefault(name, {})[moment] = value
    for name, parameter in learnt.items():
        optimizer.state[parameter] = {
            moment: value.to(parameter.device) for moment, value in moments.get(name, {}).items()
        }
    return checkpoint.state
