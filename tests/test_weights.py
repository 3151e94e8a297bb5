"""Arithmetic on stacks, by hand."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import task_of

from metanlp.weights import Product, mean_over_tasks, own, plus

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


@given(
    kinds=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=4),
    weights=st.lists(st.sampled_from([0.25, 1.0, 3.0]), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_sums_of_gradients_are_those_of_whole_ones(kinds: list, weights: list, seed: int) -> None:
    """Products and tensors in any order; what is added to something stays as it was."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    total: dict = {}
    wanted = {str(name): torch.zeros(3, 5, dtype=torch.float64) for name, _ in enumerate(kinds)}
    for step, weight in enumerate(weights):
        grads = {
            str(n): Product(draw(2, 3), draw(2, 5)) if kind[step % 2] else draw(3, 5) for n, kind in enumerate(kinds)
        }
        for name, grad in grads.items():
            wanted[name] += weight * whole(grad)
        before = {name: whole(grad).clone() for name, grad in grads.items()}
        total = plus(total, dict(grads), weight)
        assert all(torch.equal(whole(grads[name]), grad) for name, grad in before.items())
    assert total.keys() == wanted.keys()
    for name, grad in total.items():
        torch.testing.assert_close(whole(grad), wanted[name], rtol=0, atol=1e-12)


def whole(grad: torch.Tensor | Product) -> torch.Tensor:
    return grad.left.T @ grad.right if isinstance(grad, Product) else grad
