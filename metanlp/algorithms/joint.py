"""Joint (multi-task) training: the mean gradient over tasks at the start itself. The baseline of every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from metanlp.algorithms._inner_loop import InnerLoop, MetaGradient, passes
from metanlp.registry import ALGORITHMS
from metanlp.weights import mean_over_tasks, plus

if TYPE_CHECKING:
    from metanlp.batch import EncodedEpisodes
    from metanlp.learner import Learner
    from metanlp.weights import Gradients


@ALGORITHMS.register("joint")
class Joint(InnerLoop):
    """All tasks share the start, so one pass serves a whole stack, whatever the fast weights.

    Every batch of an episode, support and query, counts the same; its inner loop is for adapting afterwards.
    """

    adapts: ClassVar[bool] = False

    def meta_gradient(self, learner: Learner, episodes: EncodedEpisodes) -> MetaGradient:
        total: Gradients = {}
        start, batches = learner.spread(1), [*episodes.support, episodes.query]
        for batch in batches:
            losses, grads = learner.losses_and_products(start, batch)  # summed over the tasks
            total = plus(total, mean_over_tasks(grads), 1 / (batch.tasks * len(batches)))
            del grads  # or two sets of gradients are alive during the next pass
        return MetaGradient(total, losses, passes(batches))
