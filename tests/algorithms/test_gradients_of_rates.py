"""Learnt rates: steps as long as they say, and their gradients by the oracle and by finite differences."""

from __future__ import annotations

import pytest
import torch
from oracles import INNER, SETUPS, cases, check, episodes, walks, with_speeds
from torch import nn

from metanlp.algorithms.learned_rates import LearnedRates


@pytest.mark.parametrize("options", INNER)
@pytest.mark.parametrize(("kind", "tasks"), cases())
def test_weights_adapt_with_rates_of_their_own(kind: str, tasks: int, options: dict) -> None:
    """As with torch's optimiser and steps made longer or shorter; the gradient of a rate by the oracle's ways and gradients."""
    learner, start = SETUPS[kind]()
    stack = episodes(tasks)
    oracle = walks(start, stack, options | {"speeds": with_speeds(learner)}, steps=3)
    fast = LearnedRates(**options).adapt(learner, learner.spread(tasks), stack.support)
    for task, walk in enumerate(oracle):
        check({name: weight[task] for name, weight in fast.items()}, walk.end, rtol=0, atol=1e-10)
    result = LearnedRates(**options).meta_gradient(learner, stack)
    for name, weight in learner.slow().items():
        slopes = [(walk.end[name] - walk.start[name]) * walk.grads[-1][name] for walk in oracle]
        by_row = [sum(float(slope[row].sum()) for slope in slopes) / tasks for row in range(len(weight))]
        torch.testing.assert_close(result.grads[f"{name}:rows"].flatten().tolist(), by_row, rtol=0, atol=1e-10)
        assert float(result.grads[name]) == pytest.approx(sum(by_row), abs=1e-10)
    assert result.grads.keys() == learner.rates.keys()
    torch.testing.assert_close(result.losses, torch.stack([walk.losses[-1] for walk in oracle]), rtol=0, atol=1e-10)
    assert result.passes == (3 * 2 + 3) * tasks


@pytest.mark.parametrize("options", [INNER[0], INNER[3]])
def test_after_one_step_the_gradient_of_a_rate_is_exact(options: dict) -> None:
    """No second step depends on the first, so first order is all there is: finite differences agree."""
    learner, _ = SETUPS["lora"]()
    for layer in [module for module in learner.model.modules() if isinstance(getattr(module, "act", None), nn.ReLU)]:
        layer.act = nn.GELU()  # without a kink between the two ends of a difference
    stack = episodes(2, steps=1)
    algorithm = LearnedRates(**options)
    with_speeds(learner)
    grads = algorithm.meta_gradient(learner, stack).grads

    def loss() -> float:
        return float(learner.losses(algorithm.adapt(learner, learner.spread(2), stack.support), stack.query).mean())

    def slope(rates: torch.Tensor, way: torch.Tensor, width: float) -> float:
        kept, losses = rates.clone(), []
        for end in (width, -width):
            rates.copy_(kept + end * way)
            losses.append(loss())
        rates.copy_(kept)
        return (losses[0] - losses[1]) / (2 * width)

    for name in list(grads)[::3]:
        way = grads[name].sign()  # all rows at once, each the way that lifts the loss
        near, far = (slope(learner.rates[name].data, way, width) for width in (0.04, 0.08))
        found = (
            4 * near - far
        ) / 3  # wide steps, since the model normalises in float32; Richardson takes their error out
        assert float(grads[name].abs().sum()) == pytest.approx(found, rel=5e-3, abs=1e-5)
