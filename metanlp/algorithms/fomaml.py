"""First-order MAML (Finn et al., 2017): move the start towards what the query wants after adapting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from metanlp.algorithms._inner_loop import InnerLoop, MetaGradient, passes
from metanlp.config.recipe import Train
from metanlp.registry import ALGORITHMS
from metanlp.weights import mean_over_tasks, plus

if TYPE_CHECKING:
    from metanlp.batch import EncodedEpisodes
    from metanlp.learner import Learner
    from metanlp.weights import Gradients


@ALGORITHMS.register("fomaml")
class FOMAML(InnerLoop):
    """The gradient of the query loss at the adapted weights, taken as the gradient of the start.

    Every support batch is fresh, so the gradient of each inner step is as good a query gradient as the last: with
    `step_weights` they count too. (1, 0, .., 0) is joint training, (0, .., 0, 1) FOMAML, all ones Reptile's direction.
    """

    step_weights: list[float] = Field(
        [], description="weight of each inner step's gradient and, last, of the query's; empty: the query's alone"
    )

    def problems_with(self, train: Train) -> list[str]:
        found = super().problems_with(train)
        if self.step_weights and (len(self.step_weights) != self.inner_steps + 1 or sum(self.step_weights) <= 0):
            found.append(
                f"step_weights are {self.step_weights}; there must be inner_steps + 1 = {self.inner_steps + 1}, not all 0"
            )
        return found

    def meta_gradient(self, learner: Learner, episodes: EncodedEpisodes) -> MetaGradient:
        batches = [*episodes.support, episodes.query]
        total: Gradients = {}
        fast, state = learner.spread(episodes.tasks), None
        for index, (batch, weight) in enumerate(zip(batches, self._weights(len(batches)), strict=True)):
            losses, grads = learner.losses_and_products(fast, batch)
            if weight:
                total = plus(total, mean_over_tasks(grads), weight)
            if batch is not episodes.query:
                fast, state = self.step(learner, fast, grads, state, index, len(episodes.support))
            del grads  # or two sets of gradients are alive during the next pass
        return MetaGradient(total, losses, passes(batches))

    def _weights(self, count: int) -> list[float]:
        """They sum to 1."""
        weights = self.step_weights or [0.0] * (count - 1) + [1.0]
        return [weight / sum(weights) for weight in weights]
