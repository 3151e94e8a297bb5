"""The inner loop ends where plain steps end, however its weights are kept and moved."""

from __future__ import annotations

import pytest
import torch
from oracles import INNER, SETUPS, cases, check, episodes, full_setup, walks, with_speeds

from metanlp.algorithms._inner_loop import InnerLoop
from metanlp.algorithms.fomaml import FOMAML
from metanlp.weights import Product, own, plus


@pytest.mark.parametrize("options", INNER)
@pytest.mark.parametrize(("kind", "tasks"), cases())
def test_adapting_ends_where_plain_steps_end(kind: str, tasks: int, options: dict) -> None:
    learner, start = SETUPS[kind]()
    stack = episodes(tasks)
    fast = InnerLoop(**options).adapt(learner, learner.spread(tasks), stack.support)
    for task, walk in enumerate(walks(start, stack, options, steps=3)):
        check({name: weight[task] for name, weight in fast.items()}, walk.end, rtol=0, atol=1e-10)


@pytest.mark.parametrize("options", INNER[1:3])
def test_the_learners_buffers_change_no_number(options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full weights are written to one set of buffers; freshly allocated ones give the same bits."""
    learner, _ = full_setup()
    stack = episodes(1)
    assert learner.buffers("weights") is not None
    with_buffers = FOMAML(**options).meta_gradient(learner, stack)
    monkeypatch.setattr(learner, "buffers", lambda name: None)
    without = FOMAML(**options).meta_gradient(learner, stack)
    for name in without.grads:
        assert torch.equal(with_buffers.grads[name], without.grads[name])


@pytest.mark.parametrize("large", [1, 40])
@pytest.mark.parametrize("options", INNER)
def test_steps_along_products_end_where_those_along_gradients_do(
    options: dict, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large model the gradients of linear layers may be products: of all, or of large ones."""
    stack = episodes(1)
    algorithm = FOMAML(**options, inner_steps=3, step_weights=[0, 0.5, 0, 1])
    learner, _ = full_setup()
    with_speeds(learner)
    wanted = algorithm.meta_gradient(learner, stack)
    end = own(algorithm.adapt(learner, learner.spread(1), stack.support))
    monkeypatch.setattr("metanlp.products.IN_CACHE", 0)
    monkeypatch.setattr("metanlp.products.LARGE", large)
    monkeypatch.setattr("metanlp.products.SHARE", 1e9)
    monkeypatch.setattr("metanlp.algorithms._inner_optimizers.TOGETHER", large)
    found = algorithm.meta_gradient(learner, stack)
    _, grads = learner.losses_and_products(learner.spread(1), stack.query)
    assert any(isinstance(grad, Product) for grad in grads.values())
    zeros = {name: torch.zeros_like(slow) for name, slow in learner.slow().items()}
    check(dict(plus(zeros, found.grads, 1.0)), dict(wanted.grads), rtol=0, atol=1e-12)
    check(algorithm.adapt(learner, learner.spread(1), stack.support), end, rtol=0, atol=1e-12)
