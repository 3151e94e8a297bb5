"""Inner loops in plain PyTorch: deep copies, torch.optim, and PEFT's LoRA layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from makers import make_batch, make_t5, plain_loss, task_part
from torch import nn

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
