"""Every meta-gradient of weights against an independent one."""

from __future__ import annotations

import pytest
import torch
from makers import plain_loss, task_part
from oracles import EXACT, INNER, SETUPS, cases, check, episodes, mean, walks, with_speeds

from metanlp.algorithms.fomaml import FOMAML
from metanlp.algorithms.joint import Joint
from metanlp.algorithms.reptile import Reptile


@pytest.mark.parametrize("options", INNER)
@pytest.mark.parametrize(("kind", "tasks"), cases())
def test_fomaml_is_the_query_gradient_after_plain_steps(kind: str, tasks: int, options: dict) -> None:
    learner, start = SETUPS[kind]()
    stack = episodes(tasks)
    result = FOMAML(**options).meta_gradient(learner, stack)
    oracle = walks(start, stack, options, steps=3)
    tolerance = {"rtol": 0, "atol": 1e-10} if options["inner_optimizer"] == "adam" else EXACT
    check(result.grads, mean([walk.grads[-1] for walk in oracle]), **tolerance)
    torch.testing.assert_close(result.losses, torch.stack([walk.losses[-1] for walk in oracle]), **tolerance)
    assert result.passes == (3 * 2 + 3) * tasks  # examples, each once


@pytest.mark.parametrize(("kind", "tasks"), cases())
@pytest.mark.parametrize("weights", [[0.5, 0, 2.0, 1.0], [1.0, 0, 0, 0], [0, 0, 0, 3.0]])
def test_step_weights_are_a_weighted_mean_of_the_steps_gradients(kind: str, tasks: int, weights: list[float]) -> None:
    learner, start = SETUPS[kind]()
    stack = episodes(tasks)
    result = FOMAML(**INNER[1], step_weights=weights).meta_gradient(learner, stack)
    oracle = walks(start, stack, INNER[1], steps=3)
    by_task = [
        {
            name: sum(weight * grads[name] for weight, grads in zip(weights, walk.grads, strict=True)) / sum(weights)
            for name in walk.end
        }
        for walk in oracle
    ]
    check(result.grads, mean(by_task))


@pytest.mark.parametrize("options", INNER)
@pytest.mark.parametrize(("kind", "tasks"), cases())
def test_reptile_is_the_way_to_where_adapting_ends(kind: str, tasks: int, options: dict) -> None:
    learner, start = SETUPS[kind]()
    stack = episodes(tasks)
    result = Reptile(**options).meta_gradient(learner, stack)
    oracle = walks(start, stack, options, steps=4)
    decays = options.get("inner_decay") == "linear"
    path = sum(options["inner_lr"] * (1 - index / 4 if decays else 1) for index in range(4))
    wanted = mean([{name: (walk.start[name] - walk.end[name]) / path for name in walk.end} for walk in oracle])
    check(result.grads, wanted, rtol=0, atol=1e-9 if options["inner_optimizer"] == "adam" else 1e-12)
    assert torch.isfinite(result.losses).all()


def test_reptiles_step_is_a_gradient_whatever_the_rates() -> None:
    """With learnt rates each weight's way is divided by its own path."""
    learner, start = SETUPS["lora"]()
    stack = episodes(2)
    speeds = with_speeds(learner)
    result = Reptile(**INNER[0]).meta_gradient(learner, stack)
    oracle = walks(start, stack, INNER[0] | {"speeds": speeds}, steps=4)
    path = 4 * INNER[0]["inner_lr"]
    wanted = [
        {name: (walk.start[name] - walk.end[name]) / (path * speeds[name]) for name in walk.end} for walk in oracle
    ]
    check(result.grads, mean(wanted))


@pytest.mark.parametrize(("kind", "tasks"), [*cases(), pytest.param("full", 3, id="full-3")])
def test_joint_is_the_mean_gradient_at_the_start(kind: str, tasks: int) -> None:
    learner, start = SETUPS[kind]()
    stack = episodes(tasks)
    result = Joint(inner_lr=9.0).meta_gradient(learner, stack)
    grads, losses = [], []
    for batch in [*stack.support, stack.query]:
        for task in range(tasks):
            model, weights = start()
            loss = plain_loss(model, task_part(batch, task))
            loss.backward()
            losses.append(loss.detach())
            grads.append({name: weight.grad for name, weight in weights.items()})
    check(result.grads, mean(grads))
    torch.testing.assert_close(result.losses, torch.stack(losses[-tasks:]), **EXACT)
    assert result.passes == (3 * 2 + 3) * tasks  # examples, each once
