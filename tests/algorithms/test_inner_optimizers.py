"""sgd, adam and clipping against torch.optim, for one task and for stacks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import stacked, task_of

from metanlp.algorithms import _inner_optimizers
from metanlp.algorithms._inner_optimizers import Moments, adam, clip_factors, sgd
from metanlp.weights import own

EXACT = {"rtol": 1e-12, "atol": 1e-12}
SHAPES = {"matrix": (3, 4), "vector": (5,), "cube": (2, 2, 2)}


def draw(tasks: int, seed: int, scale: float = 1.0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: scale * torch.randn(tasks, *shape, generator=generator, dtype=torch.float64)
        for name, shape in SHAPES.items()
    }


def by_torch(kind: str, weights: dict, grads: list[dict], rate: float, clip: float | None) -> dict:
    """One task after another, each with a torch optimiser of its own."""
    done = []
    for task in range(len(weights["vector"])):
        parameters = {name: torch.nn.Parameter(weight[task].clone()) for name, weight in weights.items()}
        cls = torch.optim.Adam if kind == "adam" else torch.optim.SGD
        optimizer = cls(parameters.values(), lr=rate)
        for step in grads:
            for name, parameter in parameters.items():
                parameter.grad = step[name][task].clone()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
            optimizer.step()
        done.append({name: parameter.detach()[None] for name, parameter in parameters.items()})
    return stacked(done)


def by_us(
    kind: str, weights: dict, grads: list[dict], rate: float | dict, clip: float | None, out: dict | None = None
) -> dict:
    moments = Moments.zero(weights)
    for number, step in enumerate(grads, 1):
        factors = clip_factors(step, clip) if clip is not None else None
        if kind == "adam":
            weights = adam(weights, step, moments, number, rate, out, factors)
        else:
            weights = sgd(weights, step, rate, out, factors)
    return weights


def transposed(grads: dict) -> dict:
    """The same numbers, the last two axes the other way round in memory, as autograd may hand them out."""
    return {name: grad.transpose(-1, -2).contiguous().transpose(-1, -2) for name, grad in grads.items()}


@given(
    kind=st.sampled_from(["sgd", "adam"]),
    tasks=st.integers(1, 4),
    steps=st.integers(1, 6),
    seed=st.integers(0, 10_000),
    rate=st.floats(1e-4, 1.0),
    clip=st.none() | st.floats(0.01, 100),
    scale=st.sampled_from([1e-6, 1.0, 1e3]),
    turned=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_steps_are_torchs_own(kind, tasks, steps, seed, rate, clip, scale, turned) -> None:
    weights, grads = draw(tasks, seed), [draw(tasks, seed + 1 + step, scale) for step in range(steps)]
    grads = [transposed(step) for step in grads] if turned else grads
    kept, kept_grads = own(weights), [own(step) for step in grads]
    found = by_us(kind, weights, grads, rate, clip)
    wanted = by_torch(kind, weights, grads, rate, clip)
    for name in SHAPES:
        torch.testing.assert_close(found[name], wanted[name], **EXACT)
        assert torch.equal(weights[name], kept[name])
        assert all(torch.equal(step[name], before[name]) for step, before in zip(grads, kept_grads, strict=True))


@given(kind=st.sampled_from(["sgd", "adam"]), tasks=st.integers(2, 5), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_stack_moves_as_its_tasks_do_alone(kind, tasks, seed) -> None:
    weights, grads = draw(tasks, seed), [draw(tasks, seed + 1 + step) for step in range(4)]
    together = by_us(kind, weights, grads, 0.1, 0.7)
    alone = [by_us(kind, task_of(weights, t), [task_of(step, t) for step in grads], 0.1, 0.7) for t in range(tasks)]
    for name in SHAPES:
        torch.testing.assert_close(together[name], stacked(alone)[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("in_place", [True, False])
def test_out_receives_the_same_numbers(kind: str, in_place: bool) -> None:
    weights, grads = draw(2, 0), [draw(2, 1 + step) for step in range(5)]
    wanted = by_us(kind, weights, grads, 0.1, 1.0)
    out = own(weights) if in_place else {name: torch.full_like(weight, torch.nan) for name, weight in weights.items()}
    found = by_us(kind, out if in_place else weights, grads, 0.1, 1.0, out)
    for name in SHAPES:
        assert found[name].data_ptr() == out[name].data_ptr()
        assert torch.equal(found[name], wanted[name])


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("together", [1, 2, 7])
def test_adam_in_parts_goes_where_it_goes_at_once(
    tasks: int, by_row: bool, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, grads = draw(tasks, 0), [transposed(draw(tasks, 1 + step)) for step in range(3)]
    for step in (weights, *grads):
        step["number"] = torch.arange(1.0, tasks + 1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(9)
    rows = {name: weight.shape[1:2] + (1,) * (weight.dim() - 2) for name, weight in weights.items()}
    rates = {name: torch.rand(shape, generator=generator, dtype=torch.float64) for name, shape in rows.items()}
    wanted = by_us("adam", weights, grads, rates if by_row else 0.1, 0.5)
    monkeypatch.setattr(_inner_optimizers, "TOGETHER", together)
    in_place = own(weights)
    for start, out in ((weights, None), (in_place, in_place)):
        found = by_us("adam", start, grads, rates if by_row else 0.1, 0.5, out)
        for name in weights:
            torch.testing.assert_close(found[name], wanted[name], **EXACT)


def test_clipping_goes_by_the_norm_of_a_task() -> None:
    grads = {"a": torch.tensor([[3.0], [0.3]]), "b": torch.tensor([[4.0, 0.0], [0.4, 0.0]])}
    grads["a number"] = torch.tensor([12.0, 0.0])  # norms of all three: 13 and 0.5
    torch.testing.assert_close(clip_factors(grads, 1.0), torch.tensor([1 / 13, 1.0]), rtol=1e-5, atol=0)


def test_moments_start_from_zero_wherever_they_are_kept() -> None:
    weights = draw(2, 0)
    rooms = [{name: torch.full_like(weight, torch.nan) for name, weight in weights.items()} for _ in range(2)]
    for moments in (Moments.zero(weights), Moments.zero(weights, *rooms)):
        assert all(not tensor.any() for part in moments for tensor in part.values())
    assert all(moments.second[name] is rooms[1][name] for name in weights)


def test_a_gradient_of_zero_moves_nothing() -> None:
    weights = draw(2, 0)
    zero = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for kind in ("sgd", "adam"):
        found = by_us(kind, weights, [zero], 0.1, 1.0)
        assert all(torch.equal(found[name], weights[name]) for name in weights)
