"""What is measured side by side: the floors, metanlp and its peers, each over the same tasks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import peers
from cases import INNER_LR, INNER_STEPS, SIZES, Case, loss_of, make_model, make_tasks, stacked

if TYPE_CHECKING:
    from torch import nn

    from metanlp.learner import Learner
    from metanlp.outer import Total
    from metanlp.weights import Weights

ADAM_LR = 1e-3  # at SGD's its weights grow so large that passes meet numbers which processors are slow at
PLAIN, ZEROED, STEPPED, TOGETHER = "plain", "zeroed", "plain + SGD", "as one batch"
FLOORS = {"full": (PLAIN, ZEROED, STEPPED), "lora": (PLAIN, STEPPED, TOGETHER)}
OURS: dict[str, dict[str, Any]] = {
    "metanlp": {"inner_optimizer": "sgd", "inner_lr": INNER_LR, "inner_clip": None},
    "metanlp, clip": {"inner_optimizer": "sgd", "inner_lr": INNER_LR, "inner_clip": 1.0},
    "metanlp, adam": {"inner_optimizer": "adam", "inner_lr": ADAM_LR, "inner_clip": None},
    "metanlp, adam, clip": {"inner_optimizer": "adam", "inner_lr": ADAM_LR, "inner_clip": 1.0},
}
SHOWN = {
    "full": tuple(OURS),
    "lora": ("metanlp", "metanlp, adam, clip"),
}  # steps of adapters cost too little to tell apart
EXTRA: dict[str, peers.Peer] = {  # by the name of the package
    "learn2learn": peers.learn2learn,
    "higher": peers.higher,
    "torchopt": peers.torchopt,
}
PEERS: dict[str, dict[str, peers.Peer]] = {
    "full": {"deepcopy": peers.deepcopy, "functional_call": peers.functional_call, **EXTRA},
    "lora": {"peft, in place": peers.in_place, "functional_call": peers.functional_call, **EXTRA},
}
SAME = 1e-6  # of the gradient's norm, in float64


class Side(NamedTuple):
    """`run()` runs every task once; `grads()`, afterwards, is the mean of their meta-gradients."""

    run: Callable[[], None]
    grads: Callable[[], Weights]


class Unavailable(Exception):
    """Why a peer does not run here."""


def names_of(case: Case, chosen: Sequence[str] = ()) -> list[str]:
    """All sides, or where some are `chosen` those beside plain and metanlp."""
    names = [*FLOORS[case.kind], *SHOWN[case.kind], *PEERS[case.kind]]
    return [name for name in names if not chosen or name in (PLAIN, "metanlp", *chosen)]


def weighed(case: Case) -> list[str]:
    """The sides whose memory is worth a process."""
    return [name for name in names_of(case) if name in (PLAIN, TOGETHER, "metanlp") or name in PEERS[case.kind]]


class Sides:
    """Makes the sides of a case. Floors and peers share a model, and what metanlp keeps is there once: they run in turn."""

    def __init__(self, case: Case) -> None:
        self.case, self.tasks = case, make_tasks(case)

    @cached_property
    def model(self) -> nn.Module:
        return make_model(self.case.size) if self.case.kind == "full" else _peft(self.case.size)

    @cached_property
    def total(self) -> tuple[Learner, Total]:
        from metanlp.fast_weights.full import Full
        from metanlp.fast_weights.lora import Lora
        from metanlp.learner import Learner
        from metanlp.outer import Total

        model = make_model(self.case.size)
        learner = Learner(model, (Full() if self.case.kind == "full" else Lora(r=8)).attach(model, 0))
        return learner, Total(learner.fast.parameters)

    def make(self, name: str) -> Side:
        """Raises Unavailable where `name` is a library that does not load."""
        if name in OURS:
            return self._ours(OURS[name])
        return self._floor(name) if name in FLOORS[self.case.kind] else self._peer(name)

    def _floor(self, name: str) -> Side:
        """Forward and backward over every batch, gradients cleared after each, and nothing else or an SGD step."""
        import torch

        model, batches = self.model, [batch for task in self.tasks for batch in task]
        if name == TOGETHER:
            episodes = stacked(self.tasks)
            batches = [*episodes.support, episodes.query]
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.SGD(weights, lr=0.0)  # the same work, and the weights stay for the other sides

        def run() -> None:
            model.zero_grad()
            for batch in batches:
                loss_of(model(**batch.inputs, use_cache=False).logits, batch).backward()
                if name == STEPPED:
                    optimizer.step()
                if name == ZEROED:
                    torch._foreach_zero_([weight.grad for weight in weights])
                else:
                    for weight in weights:
                        weight.grad = None

        return Side(run, dict)

    def _ours(self, options: dict[str, Any]) -> Side:
        """The meta-gradients of a block, in the sum that an outer step takes: stacked adapters, full weights in turn."""
        from metanlp.algorithms.fomaml import FOMAML

        learner, total = self.total
        episodes = [stacked([task]) for task in self.tasks] if self.case.kind == "full" else [stacked(self.tasks)]
        algorithm = FOMAML(inner_steps=INNER_STEPS, **options)

        def run() -> None:
            total.clear()
            for each in episodes:
                total.add(algorithm.meta_gradient(learner, each), each.tasks)

        return Side(run, lambda: total.means(total.flat.clone())[0])

    def _peer(self, name: str) -> Side:
        if name in EXTRA and importlib.util.find_spec(name) is None:
            raise Unavailable("not installed")
        model = self.model
        try:
            episode = PEERS[self.case.kind][name](model, INNER_LR)
        except Exception as error:  # whatever an import of an old library meets
            raise Unavailable(f"does not load: {error}") from error

        def run() -> None:
            model.zero_grad()
            for task in self.tasks:
                episode(task)

        def grads() -> Weights:
            named = {_our_name(name): weight.grad for name, weight in model.named_parameters()}
            return {name: grad / len(self.tasks) for name, grad in named.items() if grad is not None}

        return Side(run, grads)


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
                weight.copy_(start[_our_name(name)])
    return model


def _our_name(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".default", "")


def difference(found: Weights, wanted: Weights) -> float:
    """The norm of the difference as a part of the norm of `wanted`."""
    if found.keys() != wanted.keys():
        return float("inf")
    apart = sum(float((found[name] - grad).square().sum()) for name, grad in wanted.items())
    return (apart / sum(float(grad.square().sum()) for grad in wanted.values())) ** 0.5


def refused(case: Case, chosen: Sequence[str] = ()) -> dict[str, str]:
    """Why a peer is not measured, by name: it does not load or run, or finds another meta-gradient than metanlp.

    Found in float64: in float32 a learning rate as large as this one makes rounding grow to percents in a few steps.
    """
    import torch

    missing: dict[str, str] = {}
    torch.set_default_dtype(torch.float64)
    try:
        ours = Sides(case).make("metanlp")
        ours.run()
        wanted = ours.grads()
        for name in names_of(case, chosen):
            if name not in PEERS[case.kind]:
                continue
            try:
                peer = Sides(case).make(name)  # of a model that no other has touched
                peer.run()
            except Unavailable as reason:
                missing[name] = str(reason)
            except Exception as error:  # whatever an old library meets in a model of today
                missing[name] = f"does not run: {type(error).__name__}, {str(error).partition(chr(10))[0]}"
            else:
                apart = difference(peer.grads(), wanted)
                if not apart <= SAME:  # no number is no gradient either
                    missing[name] = f"wrong by {apart:.2g} of its norm"
    finally:
        torch.set_default_dtype(torch.float32)
    return missing
