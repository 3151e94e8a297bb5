"""Learners of tiny models, weights to run them with, and how two of either are compared."""

from __future__ import annotations

import torch
from makers import make_t5

from metanlp.fast_weights.full import Full
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner

EXACT = {"rtol": 0.0, "atol": 1e-12}


def full_learner(**options) -> Learner:
    model = make_t5(options.pop("dropout", 0.0), dtype=options.pop("dtype", torch.float64))
    return Learner(model, Full().attach(model, 0), **options)


def lora_learner(dropout: float = 0.0, dtype: torch.dtype = torch.float64, **options) -> Learner:
    """With B not at its zero, so that A has gradients too."""
    model = make_t5(dropout)
    fast = Lora(r=2).attach(model, 0)
    model.to(dtype)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in fast.parameters.values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return Learner(model, fast, **options)


def different_weights(learner: Learner, tasks: int) -> dict:
    generator = torch.Generator().manual_seed(7)
    return {
        name: (weight + 0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)).to(weight.dtype)
        for name, weight in learner.spread(tasks).items()
    }


def assert_close(found: dict, wanted: dict, **tolerance) -> None:
    assert found.keys() == wanted.keys()
    for name in found:
        torch.testing.assert_close(
            found[name], wanted[name], **(tolerance or EXACT), msg=lambda text, name=name: f"{name}: {text}"
        )


def bits(learner: Learner) -> dict:
    return {name: weight.clone() for name, weight in learner.model.state_dict().items()}


def assert_same_bits(learner: Learner, before: dict) -> None:
    after = learner.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
