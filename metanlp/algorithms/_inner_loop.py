"""What algorithms share: the inner loop, from support to fast weights, and what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from pydantic import Field

from metanlp.config.recipe import Adapting, AlgorithmOptions, Train

if TYPE_CHECKING:
    from torch import Tensor, nn

    from metanlp.algorithms._inner_optimizers import Moments, Rates
    from metanlp.batch import Batch, EncodedEpisodes
    from metanlp.learner import Learner
    from metanlp.weights import Gradients, Weights


@dataclass(frozen=True)
class MetaGradient:
    """What a stack of episodes says about the start, or about how to adapt.

    `grads`, of what the algorithm learns and without the task axis, is the mean over the stack's tasks; `losses`, `(tasks,)`,
    are those of the query; `passes` counts forward and backward passes of one example: the unit in which algorithms are
    compared.
    """

    grads: Gradients
    losses: Tensor
    passes: int


def passes(batches: Sequence[Batch]) -> int:
    """Examples that go forward and backward once, however they are batched and stacked."""
    return sum(batch.examples for batch in batches)


class Algorithm(Protocol):
    """A page in this folder. It never touches an optimiser or a process group."""

    adapts: ClassVar[bool]
    inner_steps: int

    def learnt(self, learner: Learner) -> dict[str, nn.Parameter]: ...
    def adapt(self, learner: Learner, weights: Weights, support: Sequence[Batch]) -> Weights: ...
    def meta_gradient(self, learner: Learner, episodes: EncodedEpisodes) -> MetaGradient: ...


class InnerLoop(AlgorithmOptions):
    """Adapts by gradient steps, one on each support batch."""

    adapts: ClassVar[bool] = True  # its training runs inner loops, so every task needs weights of its own

    inner_steps: int = Field(5, ge=1, description="inner steps of an episode; the support is dealt out over them")
    inner_lr: float = Field(1e-3, gt=0, description="inner learning rate")
    inner_optimizer: Literal["sgd", "adam"] = Field("adam", description="inner optimiser, fresh for each task")
    inner_decay: Literal["none", "linear"] = Field("none", description="how the inner learning rate falls")
    inner_clip: float | None = Field(1.0, gt=0, description="largest norm of a task's gradient; empty: not clipped")

    def problems_with(self, train: Train) -> list[str]:
        if train.support % self.inner_steps or (self.adapts and not train.support):
            return [
                f"train.support is {train.support}; it must be a multiple of the algorithm's inner_steps, {self.inner_steps}, "
                "since every inner step takes as many fresh examples"
            ]
        return []

    def retuned(self, adapting: Adapting) -> InnerLoop:
        """The same algorithm, adapting as a recipe's `adapting` says."""
        return self.model_copy(
            update={
                "inner_lr": adapting.learning_rate,
                "inner_optimizer": adapting.optimizer,
                "inner_decay": adapting.decay,
                "inner_clip": adapting.clip,
            }
        )

    def learnt(self, learner: Learner) -> dict[str, nn.Parameter]:
        """What outer steps move, by name: the start."""
        return learner.fast.parameters

    def adapt(self, learner: Learner, weights: Weights, support: Sequence[Batch]) -> Weights:
        """Fast weights after one step on each batch of `support`. Full weights live in the learner's buffers."""
        return self.walk(learner, weights, support)[0]

    def walk(self, learner: Learner, weights: Weights, batches: Sequence[Batch]) -> tuple[Weights, Tensor]:
        """The fast weights after one step on each batch, and the losses `(tasks,)` of the last batch before its step."""
        state = None
        for index, batch in enumerate(batches):
            losses, weights, state = self.advance(learner, weights, batch, state, index, len(batches))
        return weights, losses

    def advance(
        self, learner: Learner, weights: Weights, batch: Batch, state: Moments | None, index: int, steps: int
    ) -> tuple[Tensor, Weights, Moments | None]:
        """Inner step `index` of `steps`, on `batch`; the losses `(tasks,)` are those before it."""
        losses, grads = learner.losses_and_products(weights, batch)
        return losses, *self.step(learner, weights, grads, state, index, steps)

    def step(
        self, learner: Learner, weights: Weights, grads: Gradients, state: Moments | None, index: int, steps: int
    ) -> tuple[Weights, Moments | None]:
        """Inner step `index` of `steps`; `state`, None before the first step, is what the optimiser remembers."""
        from metanlp.algorithms._inner_optimizers import Moments, adam, clip_factors, sgd

        rates, room = self.rates(learner, index, steps), learner.buffers("weights")
        factors = None if self.inner_clip is None else clip_factors(grads, self.inner_clip)
        if self.inner_optimizer == "sgd":
            return sgd(weights, grads, rates, room, factors), None
        if state is None:
            state = Moments.zero(weights, learner.buffers("first"), learner.buffers("second"))
        return adam(weights, grads, state, index + 1, rates, room, factors), state

    def rates(self, learner: Learner, index: int, steps: int) -> Rates:
        """The learning rate of inner step `index` of `steps`: one for all weights or, where rates were learnt, of each row."""
        rate = self.inner_lr * (1 - index / steps if self.inner_decay == "linear" else 1)
        return {name: rate * speed for name, speed in learner.speeds().items()} or rate
