"""Every meta-gradient against an independent one: deep copies, torch.optim, and PEFT's LoRA layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from makers import make_batch, make_t5, plain_loss, task_part
from torch import nn

from metanlp.algorithms._inner_loop import InnerLoop
from metanlp.algorithms.fomaml import FOMAML
from metanlp.algorithms.joint import Joint
from metanlp.algorithms.learned_rates import LearnedRates
from metanlp.algorithms.reptile import Reptile
from metanlp.batch import EncodedEpisodes
from metanlp.fast_weights.full import Full
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner

EXACT = {"rtol": 0.0, "atol": 1e-12}
INNER = [
    {"inner_optimizer": "sgd", "inner_lr": 0.3, "inner_clip": None},
    {"inner_optimizer": "sgd", "inner_lr": 0.3, "inner_clip": 0.5, "inner_decay": "linear"},
    {"inner_optimizer": "adam", "inner_lr": 0.01, "inner_clip": None},
    {"inner_optimizer": "adam", "inner_lr": 0.01, "inner_clip": 0.5, "inner_decay": "linear"},
]

Start = Callable[[], tuple[nn.Module, dict[str, nn.Parameter]]]  # a fresh copy and its trainable weights by our names


def full_setup(match: str = ".*") -> tuple[Learner, Start]:
    model = make_t5()
    learner = Learner(model, Full(match=match).attach(model, 0))

    def start() -> tuple[nn.Module, dict[str, nn.Parameter]]:
        oracle = copy.deepcopy(learner.model).train().requires_grad_(True)
        return oracle, {name: weight for name, weight in oracle.named_parameters() if name in learner.fast.parameters}

    return learner, start


def lora_setup() -> tuple[Learner, Start]:
    """The oracle's adapters are PEFT's own layers, with the same numbers in them."""
    from peft import LoraConfig, get_peft_model

    model = make_t5()
    fast = Lora(r=2, alpha=6.0).attach(model, 0)
    model.double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in fast.parameters.values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)

    def start() -> tuple[nn.Module, dict[str, nn.Parameter]]:
        peft = get_peft_model(make_t5(), LoraConfig(r=2, lora_alpha=6.0, target_modules=["q", "v"])).double().train()
        named = {
            name.removeprefix("base_model.model.").replace(".default", ""): weight
            for name, weight in peft.named_parameters()
            if weight.requires_grad
        }
        with torch.no_grad():
            for name, parameter in fast.parameters.items():
                named[name].copy_(parameter)
        return peft, named

    return Learner(model, fast), start


SETUPS = {"full": full_setup, "some": lambda: full_setup(r"decoder|shared"), "lora": lora_setup}


def episodes(tasks: int, steps: int = 3) -> EncodedEpisodes:
    return EncodedEpisodes([make_batch(tasks, 2, seed=seed) for seed in range(steps)], make_batch(tasks, 3, seed=99))


class Walk:
    """One task's inner loop in plain PyTorch; `grads` and `losses` at every batch, before clipping."""

    def __init__(self, start: Start, batches: list, options: dict) -> None:
        model, weights = start()
        self.start = {name: weight.detach().clone() for name, weight in weights.items()}
        self.grads, self.losses = [], []
        rate, steps = options["inner_lr"], options["steps"]
        cls = torch.optim.Adam if options["inner_optimizer"] == "adam" else torch.optim.SGD
        speeds = options.get("speeds", {})
        optimizer = cls(weights.values(), lr=rate)
        for index, batch in enumerate(batches):
            model.zero_grad()
            loss = plain_loss(model, batch)
            loss.backward()
            self.losses.append(loss.detach())
            self.grads.append({name: weight.grad.clone() for name, weight in weights.items()})
            if index == steps:
                break
            if options.get("inner_clip") is not None:
                torch.nn.utils.clip_grad_norm_(weights.values(), options["inner_clip"])
            if options.get("inner_decay") == "linear":
                optimizer.param_groups[0]["lr"] = rate * (1 - index / steps)
            before = {name: weight.detach().clone() for name, weight in weights.items()}
            optimizer.step()
            with torch.no_grad():
                for name, speed in speeds.items():  # a step is as long as its rate says
                    weights[name].copy_(before[name] + speed * (weights[name] - before[name]))
        self.end = {name: weight.detach() for name, weight in weights.items()}


def mean(dicts: list[dict]) -> dict:
    return {name: sum(each[name] for each in dicts) / len(dicts) for name in dicts[0]}


def check(found: dict, wanted: dict, **tolerance: float) -> None:
    assert found.keys() == wanted.keys()
    assert max(float(grad.abs().max()) for grad in wanted.values()) > 1e-3
    for name in wanted:
        torch.testing.assert_close(
            found[name], wanted[name], **(tolerance or EXACT), msg=lambda text, n=name: f"{n}: {text}"
        )


def walks(start: Start, stack: EncodedEpisodes, options: dict, steps: int) -> list[Walk]:
    each = [[task_part(batch, task) for batch in [*stack.support, stack.query]] for task in range(stack.tasks)]
    return [Walk(start, batches, {**options, "steps": steps}) for batches in each]


def cases() -> list:
    return [
        pytest.param(kind, tasks, id=f"{kind}-{tasks}")
        for kind, tasks in [("full", 1), ("some", 1), ("lora", 1), ("lora", 3)]
    ]


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


@pytest.mark.parametrize("options", INNER)
@pytest.mark.parametrize(("kind", "tasks"), cases())
def test_adapting_ends_where_plain_steps_end(kind: str, tasks: int, options: dict) -> None:
    learner, start = SETUPS[kind]()
    stack = episodes(tasks)
    fast = InnerLoop(**options).adapt(learner, learner.spread(tasks), stack.support)
    for task, walk in enumerate(walks(start, stack, options, steps=3)):
        check({name: weight[task] for name, weight in fast.items()}, walk.end, rtol=0, atol=1e-10)


def with_speeds(learner: Learner) -> dict[str, torch.Tensor]:
    """Every third weight learns faster, the next slower; so do rows of each."""
    generator, speeds, rates = torch.Generator().manual_seed(0), {}, learner.with_rates()
    for index, (name, weight) in enumerate(learner.slow().items()):
        of_rows = torch.tensor([1 / 3, 1.0, 3.0], dtype=weight.dtype)[
            torch.randint(3, (len(weight),), generator=generator)
        ].view(-1, *[1] * (weight.dim() - 1))
        rates[name].data.fill_((0.7, -1.2, 0.0)[index % 3])
        rates[f"{name}:rows"].data.copy_(of_rows.log())
        speeds[name] = of_rows * math.exp((0.7, -1.2, 0.0)[index % 3])
    return speeds


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
