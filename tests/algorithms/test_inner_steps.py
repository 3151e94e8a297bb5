"""The inner loop ends where plain steps end, however its weights are kept and moved."""

from __future__ import annotations

import pytest
import torch
from oracles import INNER, SETUPS, cases, check, episodes, full_setup, walks

from metanlp.algorithms._inner_loop import InnerLoop
from metanlp.algorithms.fomaml import FOMAML


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


@pytest.mark.parametrize("large", [1, 40, 2**60])
@pytest.mark.parametrize("options", [INNER[0], INNER[2]])
def test_weights_that_move_one_by_one_end_where_they_do_together(
    options: dict, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large model a weight moves during the backward pass: all of them, some, or none."""
    stack = episodes(1)
    wanted = FOMAML(**options).meta_gradient(full_setup()[0], stack)
    monkeypatch.setattr("metanlp.learner.IN_CACHE", 0)
    monkeypatch.setattr("metanlp.learner.LARGE", large)
    monkeypatch.setattr("metanlp.algorithms._inner_optimizers.TOGETHER", large)
    found = FOMAML(**options).meta_gradient(full_setup()[0], stack)
    for name in wanted.grads:
        torch.testing.assert_close(found.grads[name], wanted.grads[name], rtol=0, atol=1e-12)
