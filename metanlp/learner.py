"""A model plus the switch saying whose weights it runs with: the only place that swaps weights or asks for gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn

from metanlp.allocator import keep_pages
from metanlp.batch import IGNORED, Batch
from metanlp.errors import UserError
from metanlp.fast_weights._protocol import FastWeights
from metanlp.pass_parts import cross_entropy, dropout_seeded
from metanlp.products import Products, keeping_products
from metanlp.weights import ROWS, Gradients, Product, Weights

OTHER_WEIGHTS = "no fast weight is in the graph: the forward pass ran with other weights than the given ones"


class Learner:
    """Runs a model with the weights it is given, and leaves the model as it found it.

    `rates` are the logarithms of how much faster than others each fast weight adapts, `()` each, and each of its rows beside
    the others, `(rows, 1, ..)` under the weight's name with `ROWS` behind it. {}: all adapt alike.
    """

    def __init__(
        self, model: nn.Module, fast: FastWeights, *, precision: str = "fp32", label_smoothing: float = 0.0
    ) -> None:
        self.model, self.fast = model, fast
        self.precision, self.label_smoothing = precision, label_smoothing
        self.rates: dict[str, nn.Parameter] = {}
        self._buffers: dict[str, Weights] = {}
        self._busy = False

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def slow(self) -> Weights:
        """What the outer loop learns, without the task axis: the parameters' own storage, not a copy."""
        return {name: parameter.detach() for name, parameter in self.fast.parameters.items()}

    def spread(self, tasks: int) -> Weights:
        """The start of every task: views of the slow weights, `(tasks, *shape)`, to read and not to write."""
        return {name: slow.unsqueeze(0).expand(tasks, *slow.shape) for name, slow in self.slow().items()}

    def with_rates(self) -> dict[str, nn.Parameter]:
        """The rates, to be learnt; 0 each where there were none."""
        if not self.rates:
            for name, weight in self.slow().items():
                self.rates[name] = nn.Parameter(weight.new_zeros(()))
                self.rates[name + ROWS] = nn.Parameter(weight.new_zeros(weight.shape[:1] + (1,) * (weight.dim() - 1)))
        return self.rates

    @torch.no_grad()
    def speeds(self) -> Weights:
        """By how much the learning rate of each fast weight's rows is multiplied in adapting; {}: all adapt alike."""
        if not self.rates:
            return {}
        return {name: (self.rates[name] + self.rates[name + ROWS]).exp() for name in self.fast.parameters}

    def load(self, slow: Weights, rates: Weights) -> None:
        """Copy what was learnt, without the task axis, into the slow weights and the rates. UserError for other names."""
        ours: list[tuple[Mapping[str, Tensor], Weights]] = [(self.slow(), slow)]
        if rates:
            ours.append((self.with_rates(), rates))
        for own, saved in ours:
            if odd := sorted(own.keys() ^ saved.keys()):
                raise UserError(
                    f"the checkpoint is of another model or version: {len(odd)} weights do not match, as {odd[0]}"
                )
            for name, weight in own.items():
                weight.detach().copy_(saved[name])

    def keep_pages(self) -> None:
        """To be called before steps are taken: on a CPU, gradients as large as the model come and go at every one."""
        if not self.fast.stackable and self.device.type == "cpu":
            keep_pages()

    def buffers(self, name: str) -> Weights | None:
        """Where an inner loop may keep its fast weights, or what else is as large, or None: allocate.

        Full weights are as large as the model, and making them anew at every step costs as much as the step: one set of
        buffers a name is kept, and what stands there is overwritten by the next task.
        """
        if self.fast.stackable:
            return None
        if name not in self._buffers:
            self._buffers[name] = {name: torch.empty_like(weight) for name, weight in self.spread(1).items()}
        return self._buffers[name]

    def losses_and_grads(self, weights: Weights, batch: Batch) -> tuple[Tensor, Weights]:
        """The mean loss of a target piece for every task, `(tasks,)`, and the gradient of their sum, `(tasks, *shape)`.

        Tasks do not meet, so each row of a gradient is that task's own gradient. Weights of one task (`(1, *shape)`) may
        run a batch of many: the gradient is then the sum over them.

        Raises RuntimeError where no fast weight took part in the forward pass: adapting would silently do nothing.
        """
        losses, grads = self._differentiated(weights, batch, nullcontext())
        return losses, cast(Weights, grads)

    def losses_and_products(self, weights: Weights, batch: Batch) -> tuple[Tensor, Gradients]:
        """The same, where a gradient may be a `Product`: on a CPU those of large linear layers and lookups, for few sentences."""
        plain = not self.fast.stackable and self.precision == "fp32" and self.device.type == "cpu"
        return self._differentiated(
            weights, batch, keeping_products(self.model, self.fast.parameters) if plain else nullcontext()
        )

    def _differentiated(
        self, weights: Weights, batch: Batch, seen: Products | nullcontext[None]
    ) -> tuple[Tensor, Gradients]:
        self._train(True)
        with self._running(weights) as leaves:
            with seen:
                losses = self._losses(batch)
            of_leaves = torch.autograd.grad(losses.sum(), leaves, allow_unused=True)
        grads = dict(zip(self.fast.parameters, of_leaves, strict=True))
        found = seen.completed(grads) if isinstance(seen, Products) else grads
        if all(grad is None for grad in found.values()):
            raise RuntimeError(OTHER_WEIGHTS)
        complete: dict[str, Tensor | Product] = {}
        for name, grad in found.items():
            if grad is None:
                complete[name] = torch.zeros_like(weights[name])
            else:
                complete[name] = grad if isinstance(grad, Product) else self.fast.stack(grad)
        return losses.detach(), complete

    @torch.no_grad()
    def losses(self, weights: Weights, batch: Batch) -> Tensor:
        """The mean loss of a target piece for every task, `(tasks,)`, without dropout and label smoothing."""
        self._train(False)
        with self._running(weights):
            return self._losses(batch)

    @torch.no_grad()
    def row_losses(self, weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of every row the sum of its pieces' losses, as `losses` computes them, and how many pieces that are: `(rows,)`.

        A batch in parts has its rows in no order that the caller knows, and is refused.
        """
        if batch.others:
            raise ValueError("losses are of rows in their order; encode them as one batch, not in parts")
        self._train(False)
        with self._running(weights):
            return self._piece_losses(batch).sum(1), (batch.labels != IGNORED).sum(1)

    @contextmanager
    def holding(self, weights: Weights) -> Iterator[nn.Module]:
        """The model with these weights, for saving: what is computed on the way is not rounded as passes are."""
        self._train(False)
        with torch.no_grad(), self._running(weights):
            yield self.model

    @contextmanager
    def using(self, weights: Weights) -> Iterator[nn.Module]:
        """The model with these weights, for a pass of generation (no gradients, no dropout)."""
        with self.holding(weights) as model, self._autocast():
            yield model

    @contextmanager
    def generating(self, weights: Weights) -> Iterator[nn.Module]:
        """The same for many passes: what they round is rounded once, and kept in bf16 beside the weights meanwhile."""
        with self._rounding_once(), self.using(weights) as model:
            yield model

    @contextmanager
    def _running(self, weights: Weights) -> Iterator[list[Tensor]]:
        if self._busy:  # else the weights put first would stay behind as the slow ones
            raise RuntimeError("the model already runs with other weights; leave `using` before the next pass")
        self._busy = True
        try:
            yield self.fast.put(weights)
        finally:
            self.fast.restore()
            self._busy = False

    def _losses(self, batch: Batch) -> Tensor:
        sums = [self._piece_losses(part).view(batch.tasks, -1).sum(1) for part in batch.parts]
        pieces = [(part.labels != IGNORED).view(batch.tasks, -1).sum(1) for part in batch.parts]
        return torch.stack(sums).sum(0) / torch.stack(pieces).sum(0).clamp(min=1)

    def _piece_losses(self, batch: Batch) -> Tensor:
        with dropout_seeded(batch.seed if self.model.training else None, self.device), self._autocast():
            logits = self.model(**batch.inputs, use_cache=False).logits
        return cross_entropy(logits, batch.labels, self.label_smoothing if self.model.training else 0.0)

    @contextmanager
    def _rounding_once(self) -> Iterator[None]:
        """Autocast keeps the casts of weights that want gradients; it would cast frozen ones again in every pass."""
        rounded = self.model.parameters() if self.precision == "bf16" else []
        frozen = [weight for weight in rounded if weight.dtype == torch.float32 and not weight.requires_grad]
        try:
            for weight in frozen:
                weight.requires_grad_(True)
            yield
        finally:
            for weight in frozen:
                weight.requires_grad_(False)

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        """Opened around each forward pass: a longer one would serve casts of weights that have changed since."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def _train(self, training: bool) -> None:
        if self.model.training != training:
            self.model.train(training)
