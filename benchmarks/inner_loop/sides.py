"""What is measured side by side: the floors, metanlp and its peers, each over the same tasks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import peers
from cases import INNER_LR, SIZES, Case, loss_of, make_model, make_tasks, stacked

if TYPE_CHECKING:
    from torch import nn

    from metanlp.batch import Batch
    from metanlp.weights import Weights

PLAIN, ZEROED, STEPPED, TOGETHER = "plain", "zeroed", "plain + SGD", "as one batch"
FLOORS = {"full": (PLAIN, ZEROED, STEPPED), "lora": (PLAIN, STEPPED, TOGETHER)}
OURS: dict[str, dict[str, Any]] = {
    "metanlp": {"inner_optimizer": "sgd", "inner_clip": None},
    "metanlp, clip": {"inner_optimizer": "sgd", "inner_clip": 1.0},
    "metanlp, adam": {"inner_optimizer": "adam", "inner_clip": None},
    "metanlp, adam, clip": {"inner_optimizer": "adam", "inner_clip": 1.0},
}
EXTRA: dict[str, peers.Peer] = {  # by the name of the package
    "learn2learn": peers.learn2learn,
    "higher": peers.higher,
    "torchopt": peers.torchopt,
}
PEERS: dict[str, dict[str, peers.Peer]] = {
    "full": {"deepcopy": peers.deepcopy, "functional_call": peers.functional_call, **EXTRA},
    "lora": {"peft, in place": peers.in_place, "functional_call": peers.functional_call, **EXTRA},
}


class Side(NamedTuple):
    """`run(unit)` runs the tasks of a unit; unit 0 begins a new sum of meta-gradients. `grads()` is their mean over tasks."""

    run: Callable[[int], None]
    grads: Callable[[], Weights]
    model: nn.Module


class Unavailable(Exception):
    """Why a peer does not run here."""


def units_of(case: Case) -> list[list[list[Batch]]]:
    """The tasks that run at a time: one with full weights, all with adapters."""
    tasks = make_tasks(case)
    return [[task] for task in tasks] if case.kind == "full" else [tasks]


def names_of(case: Case) -> list[str]:
    return [*FLOORS[case.kind], *OURS, *PEERS[case.kind]]


def make_side(case: Case, name: str) -> Side:
    """Raises Unavailable where `name` is a library that does not load."""
    units = units_of(case)
    if name in OURS:
        return _ours(case, units, OURS[name])
    model = make_model(case.size) if case.kind == "full" else _peft(case.size)
    return _floor(model, units, name) if name in FLOORS[case.kind] else _peer(model, case, units, name)


def _floor(model: nn.Module, units: list[list[list[Batch]]], name: str) -> Side:
    """Forward and backward over every batch, gradients cleared after each, and nothing else or an SGD step."""
    import torch

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=1e-3)  # the floor's losses lead nowhere, but must not overflow

    def run(unit: int) -> None:
        for batch in _in_turn(units[unit], together=name == TOGETHER):
            loss_of(model(**batch.inputs, use_cache=False).logits, batch).backward()
            if name == STEPPED:
                optimizer.step()
            if name == ZEROED:
                torch._foreach_zero_([weight.grad for weight in weights])
            else:
                for weight in weights:
                    weight.grad = None

    return Side(run, dict, model)


def _in_turn(tasks: Sequence[Sequence[Batch]], together: bool) -> list[Batch]:
    if not together:
        return [batch for task in tasks for batch in task]
    episodes = stacked(tasks)
    return [*episodes.support, episodes.query]


def _ours(case: Case, units: list[list[list[Batch]]], options: dict[str, Any]) -> Side:
    """The meta-gradient of a unit, added to the sum that an outer step takes."""
    from metanlp.algorithms.fomaml import FOMAML
    from metanlp.fast_weights.full import Full
    from metanlp.fast_weights.lora import Lora
    from metanlp.learner import Learner
    from metanlp.outer import Total

    model = make_model(case.size)
    learner = Learner(model, (Full() if case.kind == "full" else Lora(r=8)).attach(model, 0))
    episodes = [stacked(tasks) for tasks in units]
    algorithm, total = FOMAML(inner_steps=len(units[0][0]) - 1, inner_lr=INNER_LR, **options), Total(learner)

    def run(unit: int) -> None:
        if unit == 0:
            total.clear()
        total.add(algorithm.meta_gradient(learner, episodes[unit]), episodes[unit].tasks)

    return Side(run, lambda: total.means(total.flat.clone())[0], model)


def _peer(model: nn.Module, case: Case, units: list[list[list[Batch]]], name: str) -> Side:
    if name in EXTRA and importlib.util.find_spec(name) is None:
        raise Unavailable("not installed")
    try:
        episode = PEERS[case.kind][name](model, INNER_LR)
    except Exception as error:  # whatever an import of an old library meets
        raise Unavailable(f"does not load: {error}") from error

    def run(unit: int) -> None:
        if unit == 0:
            model.zero_grad()
        for task in units[unit]:
            episode(task)

    def grads() -> Weights:
        return {
            name.removeprefix("base_model.model.").replace(".default", ""): weight.grad / case.tasks
            for name, weight in model.named_parameters()
            if weight.grad is not None
        }

    return Side(run, grads, model)


def _peft(size: str) -> nn.Module:
    """PEFT's adapters on query and value, with the numbers that metanlp's start from."""
    import torch
    from peft import LoraConfig, get_peft_model

    from metanlp.fast_weights.lora import Lora

    start = Lora(r=8).attach(make_model(size), 0).parameters
    targets = ["q_proj", "v_proj"] if "hidden_size" in SIZES[size] else ["q", "v"]
    model = get_peft_model(make_model(size), LoraConfig(r=8, lora_alpha=16, target_modules=targets)).train()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(start[name.removeprefix("base_model.model.").replace(".default", "")])
    return model


def difference(found: Weights, wanted: Weights) -> float:
    """The norm of the difference as a part of the norm of `wanted`."""
    if found.keys() != wanted.keys():
        return float("inf")
    apart = sum(float((found[name] - grad).square().sum()) for name, grad in wanted.items())
    return (apart / sum(float(grad.square().sum()) for grad in wanted.values())) ** 0.5
