"""Reptile (Nichol et al., 2018): move the start towards where adapting ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metanlp.algorithms._inner_loop import InnerLoop, MetaGradient, passes
from metanlp.registry import ALGORITHMS
from metanlp.weights import mean_over_tasks

if TYPE_CHECKING:
    from metanlp.batch import EncodedEpisodes
    from metanlp.learner import Learner


@ALGORITHMS.register("reptile")
class Reptile(InnerLoop):
    """(start - adapted weights) / path, where path is the sum of the inner learning rates: the mean step, as a gradient.

    Support and query are both learnt from, the query last, so the query losses are those before learning from it.
    """

    def meta_gradient(self, learner: Learner, episodes: EncodedEpisodes) -> MetaGradient:
        from metanlp.algorithms._inner_optimizers import rate_of

        batches = [*episodes.support, episodes.query]
        start = learner.spread(episodes.tasks)
        adapted, losses = self.walk(learner, start, batches)
        paths = [self.rates(learner, index, len(batches)) for index in range(len(batches))]
        grads = {
            name: (weight - adapted[name]) / sum(rate_of(path, name) for path in paths)
            for name, weight in start.items()
        }
        return MetaGradient(mean_over_tasks(grads), losses, passes(batches))
