"""The outer step's bookkeeping, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from makers import make_t5
from torch import nn

from metanlp.algorithms._inner_loop import MetaGradient
from metanlp.checkpoint import latest_checkpoint, save_checkpoint
from metanlp.config.recipe import Train
from metanlp.fast_weights.full import Full
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner
from metanlp.outer import Total, freeze_state, learning_rate, set_grads, thaw_state
from metanlp.weights import Product


def learner_of(seed: int = 0) -> Learner:
    model = make_t5(seed=seed, dtype=torch.float32)
    return Learner(model, Full().attach(model, 0))


def gradient(learner: Learner, value: float, losses: list[float], passes: int) -> MetaGradient:
    grads = {name: torch.full_like(weight, value) for name, weight in learner.slow().items()}
    return MetaGradient(grads, torch.tensor(losses), passes)


def test_stacks_of_different_sizes_are_weighted_by_their_tasks() -> None:
    learner = learner_of()
    total = Total(learner.fast.parameters)
    total.add(gradient(learner, 1.0, [1.0, 2.0, 3.0], 12), 3)
    total.add(gradient(learner, 5.0, [6.0], 4), 1)
    grads, loss, passes, stopping = total.means(total.flat.clone())
    assert grads.keys() == learner.slow().keys()
    for name, grad in grads.items():
        assert grad.shape == learner.slow()[name].shape
        assert torch.equal(grad, torch.full_like(grad, (3 * 1.0 + 5.0) / 4))
    assert (loss, passes, stopping) == (3.0, 16, False)


def test_ranks_add_up_to_one_process() -> None:
    learner = learner_of()
    one, first, second = Total(learner.fast.parameters), Total(learner.fast.parameters), Total(learner.fast.parameters)
    parts = [gradient(learner, value, [value], 2) for value in (1.0, 2.0, 4.0)]
    for part in parts:
        one.add(part, 1)
    first.add(parts[0], 1)
    first.add(parts[2], 1)
    second.add(parts[1], 1)
    second.ask_to_stop()
    grads, loss, passes, stopping = first.means(first.flat + second.flat)
    wanted, wanted_loss, wanted_passes, _ = one.means(one.flat.clone())
    assert all(torch.equal(grads[name], wanted[name]) for name in wanted)
    assert (loss, passes) == (wanted_loss, wanted_passes)
    assert stopping


def test_a_rank_without_episodes_adds_nothing() -> None:
    learner = learner_of()
    busy, idle = Total(learner.fast.parameters), Total(learner.fast.parameters)
    busy.add(gradient(learner, 2.0, [3.0], 5), 1)
    grads, loss, passes, _ = busy.means(busy.flat + idle.flat)
    assert (loss, passes) == (3.0, 5)
    assert all((grad == 2).all() for grad in grads.values())


def test_a_step_starts_from_nothing() -> None:
    learner = learner_of()
    total = Total(learner.fast.parameters)
    total.add(gradient(learner, 2.0, [3.0], 5), 1)
    total.means(total.flat)
    total.clear()
    total.add(gradient(learner, 1.0, [1.0], 1), 1)
    grads, loss, passes, stopping = total.means(total.flat)
    assert (loss, passes, stopping) == (1.0, 1, False)
    assert all((grad == 1).all() for grad in grads.values())


def test_gradients_are_handed_to_what_is_learnt_and_to_nothing_else() -> None:
    model = make_t5(dtype=torch.float32)
    learner = Learner(model, Lora(r=2).attach(model, 0))
    grads = {name: torch.randn_like(weight) for name, weight in learner.slow().items()}
    set_grads(learner.fast.parameters, grads)
    assert all(torch.equal(learner.fast.parameters[name].grad, grads[name]) for name in grads)
    learnt = {id(weight) for weight in learner.fast.parameters.values()}
    frozen = [weight for weight in model.parameters() if id(weight) not in learnt]
    assert frozen
    assert all(not weight.requires_grad and weight.grad is None for weight in frozen)


def test_rates_are_kept_and_come_back(tmp_path) -> None:
    """A learner that had none learns of them; where none were learnt, none are kept."""
    learner, again = learner_of(), learner_of(seed=3)
    for index, rate in enumerate(learner.with_rates().values()):
        rate.data.fill_(index / 10)
    optimizer = torch.optim.AdamW(learner.rates.values(), 0.01)
    set_grads(learner.rates, {name: torch.ones_like(rate) for name, rate in learner.rates.items()})
    optimizer.step()
    save_checkpoint(tmp_path / "rates", freeze_state(learner, learner.rates, optimizer, {"step": 1}))
    learnt = again.with_rates()
    other = torch.optim.AdamW(learnt.values(), 0.01)
    thaw_state(again, learnt, other, latest_checkpoint(tmp_path / "rates"))
    assert again.speeds().keys() == learner.speeds().keys() != set()
    assert all(torch.equal(speed, learner.speeds()[name]) for name, speed in again.speeds().items())
    for name, rate in learner.rates.items():
        assert torch.equal(other.state[again.rates[name]]["exp_avg"], optimizer.state[rate]["exp_avg"])
    without = learner_of(seed=3)
    save_checkpoint(tmp_path / "none", freeze_state(without, {}, optimizer, {"step": 1}))
    assert "rates" not in latest_checkpoint(tmp_path / "none").tensors


def test_the_learning_rate_rises_and_falls() -> None:
    train = Train(steps=10, warmup=2, learning_rate=0.4, decay="linear")
    assert [round(learning_rate(train, step), 6) for step in range(11)] == [
        0.2, 0.4, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.0,
    ]  # fmt: skip
    cosine = Train(steps=10, warmup=2, learning_rate=0.4, decay="cosine")
    assert learning_rate(cosine, 6) == pytest.approx(0.2)
    assert learning_rate(cosine, 4) == pytest.approx(0.2 * (1 + math.cos(math.pi / 4)))
    assert learning_rate(cosine, 9) > 0
    constant = Train(steps=10, learning_rate=0.4, decay="none")
    assert {learning_rate(constant, step) for step in range(10)} == {0.4}
    assert learning_rate(Train(steps=3, warmup=5, learning_rate=1.0), 2) == pytest.approx(0.6)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_frozen_state_thaws_to_the_same_next_steps(kind: str, tmp_path) -> None:
    def fresh(seed: int) -> tuple[Learner, torch.optim.AdamW]:
        model = make_t5(seed=seed, dtype=torch.float32)
        learner = Learner(model, (Full() if kind == "full" else Lora(r=2)).attach(model, seed))
        return learner, torch.optim.AdamW(learner.fast.parameters.values(), 0.01, weight_decay=0.1)

    def step(learner: Learner, optimizer: torch.optim.AdamW, number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        set_grads(
            learner.fast.parameters,
            {name: torch.randn(w.shape, generator=generator) for name, w in learner.slow().items()},
        )
        optimizer.step()

    learner, optimizer = fresh(0)
    for number in range(3):
        step(learner, optimizer, number)
    save_checkpoint(tmp_path, freeze_state(learner, learner.fast.parameters, optimizer, {"step": 3, "passes": 9}))
    again, other = fresh(1)
    assert thaw_state(again, again.fast.parameters, other, latest_checkpoint(tmp_path)) == {"step": 3, "passes": 9}
    for number in range(3, 6):
        step(learner, optimizer, number)
        step(again, other, number)
    for name, weight in learner.slow().items():
        assert torch.equal(weight, again.slow()[name])


def test_state_is_kept_by_name_not_by_order(tmp_path) -> None:
    learner = learner_of()
    optimizer = torch.optim.AdamW(learner.fast.parameters.values(), 0.01)
    set_grads(learner.fast.parameters, {name: torch.randn_like(weight) for name, weight in learner.slow().items()})
    optimizer.step()
    save_checkpoint(tmp_path, freeze_state(learner, learner.fast.parameters, optimizer, {"step": 1}))
    again = learner_of(seed=3)
    again.fast.parameters = dict(reversed(again.fast.parameters.items()))
    other = torch.optim.AdamW(again.fast.parameters.values(), 0.01)
    thaw_state(again, again.fast.parameters, other, latest_checkpoint(tmp_path))
    for name, parameter in learner.fast.parameters.items():
        assert torch.equal(other.state[again.fast.parameters[name]]["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_the_sum_holds_products_in_the_storage_that_ranks_exchange() -> None:
    """`left.T @ right` is [[3, 4], [6, 8]]; of two stacks, one of them of three tasks, there are four of it."""
    total = Total({"matrix": nn.Parameter(torch.zeros(2, 2)), "bias": nn.Parameter(torch.zeros(2))})
    product = Product(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
    for tasks in (1, 3):
        total.add(MetaGradient({"matrix": product, "bias": torch.ones(2)}, torch.ones(tasks), 5), tasks)
    assert total.flat.tolist() == [12, 16, 24, 32, 4, 4, 4, 4, 10, 0]
