"""Where adapters go, how they start, and what a stack of them computes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_batch, make_t5
from torch import nn

from metanlp.errors import UserError
from metanlp.fast_weights._stacked_linear import StackedLinear
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner


@given(
    tasks=st.integers(1, 4),
    rows=st.integers(1, 3),
    length=st.integers(1, 4),
    r=st.integers(1, 3),
    scale=st.floats(0.1, 4),
    bias=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_each_task_meets_its_own_weights(tasks, rows, length, r, scale, bias, seed) -> None:
    """Against a plain layer for every task, its weight W + scale B A written out."""
    generator = torch.Generator().manual_seed(seed)
    base = nn.Linear(5, 4, bias=bias).double()
    layer = StackedLinear(base, r, scale, "kaiming", (seed, 0)).double()
    a = torch.randn(tasks, r, 5, generator=generator, dtype=torch.float64)
    b = torch.randn(tasks, 4, r, generator=generator, dtype=torch.float64)
    x = torch.randn(tasks * rows, length, 5, generator=generator, dtype=torch.float64)
    layer.fast = a, b
    found = layer(x).view(tasks, rows, length, 4)
    for task in range(tasks):
        weight = base.weight + scale * b[task] @ a[task]
        wanted = nn.functional.linear(x.view(tasks, rows, length, 5)[task], weight, base.bias)
        torch.testing.assert_close(found[task], wanted, rtol=0, atol=1e-12)


def test_a_fresh_adapter_changes_nothing() -> None:
    batch, model = make_batch(rows=3), make_t5(dtype=torch.float32)
    model.eval()
    with torch.no_grad():
        before = model(**batch.inputs).logits
        fast = Lora().attach(model, 0)
        assert torch.equal(model(**batch.inputs).logits, before)
    assert fast.parameters
    assert all(parameter.abs().max() > 0 for name, parameter in fast.parameters.items() if "lora_A" in name)


def test_only_adapters_are_learnt() -> None:
    model = make_t5(dtype=torch.float32)
    fast = Lora().attach(model, 0)
    trainable = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert trainable == {id(parameter) for parameter in fast.parameters.values()}
    assert fast.stackable


def test_query_and_value_are_the_default_and_names_can_be_parts_of_a_path() -> None:
    def places(*targets: str) -> set[str]:
        return set(Lora(targets=list(targets)).attach(make_t5(), 0).layers)

    attention = "layer.0.SelfAttention"
    assert {f"encoder.block.0.{attention}.q", f"decoder.block.0.{attention}.v"} < places()
    assert all(place.rpartition(".")[2] in "qv" for place in places())
    assert places("SelfAttention.q") == {f"encoder.block.0.{attention}.q", f"decoder.block.0.{attention}.q"}
    assert places(f"encoder.block.0.{attention}.q") == {f"encoder.block.0.{attention}.q"}
    assert len(places("q", "k")) == 6


def test_a_target_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UserError, match=r"\['q_proj'\].*there are .*\bk\b.*\bq\b.*\bwi\b"):
        Lora(targets=["q", "q_proj"]).attach(make_t5(), 0)
    with pytest.raises(UserError, match="no linear layers"):
        Lora().attach(nn.Sequential(nn.Linear(2, 2)), 0)


def test_the_start_is_a_function_of_the_seed_and_the_place() -> None:
    def start(seed: int) -> dict:
        torch.manual_seed(torch.seed() % 1000)
        return {
            name: p.detach().clone()
            for name, p in Lora().attach(make_t5(), seed).parameters.items()
            if "lora_A" in name
        }

    one, same, other = start(1), start(1), start(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert all(not torch.equal(one[name], other[name]) for name in one)
    values = list(one.values())
    assert not any(torch.equal(values[0], value) for value in values[1:])


@pytest.mark.parametrize(("init", "spread"), [("kaiming", (1 / 3 / 64) ** 0.5), ("gaussian", 1 / 8)])
def test_the_start_is_pefts_in_distribution(init: str, spread: float) -> None:
    """Kaiming with a = sqrt(5) is uniform within 1 / sqrt(in); PEFT's gaussian has the deviation 1 / r."""
    start = StackedLinear(nn.Linear(64, 64), 8, 1.0, init, (0, 0)).lora_A.detach()
    assert float(start.std()) == pytest.approx(spread, rel=0.15)
    if init == "kaiming":
        assert float(start.abs().max()) <= 1 / 8


def test_tasks_do_not_meet() -> None:
    """What one task's weights and texts are changes nothing for another task."""
    model = make_t5()
    fast = Lora(r=2).attach(model, 0)
    learner = Learner(model.double(), fast)
    weights = {name: torch.randn(3, *p.shape, dtype=torch.float64) for name, p in fast.parameters.items()}
    batch = make_batch(3, rows=2)
    losses, grads = learner.losses_and_grads(weights, batch)
    changed = {name: weight.clone() for name, weight in weights.items()}
    for weight in changed.values():
        weight[1] += 5
    batch.inputs["input_ids"][2:4] = 7
    others, other_grads = learner.losses_and_grads(changed, batch)
    assert losses[1] != others[1]
    for task in (0, 2):
        torch.testing.assert_close(losses[task], others[task], rtol=0, atol=1e-12)
        for name in grads:
            torch.testing.assert_close(grads[name][task], other_grads[name][task], rtol=0, atol=1e-12)


def test_a_model_of_other_layers_says_so() -> None:
    """GPT-2's are no linear layers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2))
    with pytest.raises(UserError, match="there are lm_head; this model's other layers are Conv1D, as GPT-2's"):
        Lora().attach(model, 0)
