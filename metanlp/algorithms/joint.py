"""Joint (multi-task) training: the mean gradient over tasks at the start itself. The baseline of every comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from metanlp.algorithms._inner_loop import InnerLoop, MetaGradient, passes
from metanlp.registry import ALGORITHMS

if TYPE_CHECKING:
    from metanlp.batch import EncodedEpisodes
    from metanlp.learner import Learner


@ALGORITHMS.register("joint")
class Joint(InnerLoop):
    """All tasks share the start, so one pass serves a whole stack, whatever the fast weights.

    Every batch of an episode, support and query, counts the same; its inner loop is for adapting afterwards.
    """

    adapts: ClassVar[bool] = False

    def meta_gradient(self, learner: Learner, episodes: EncodedEpisodes) -> MetaGradient:
        start = learner.spread(1)
        batches = [*episodes.support, episodes.query]
        total = {name: weight.new_zeros(weight.shape[1:]) for name, weight in start.items()}
        for batch in batches:
            losses, grads = learner.losses_and_grads(start, batch)  # grads (1, *shape): summed over the tasks
            for name, grad in grads.items():
                total[name].add_(grad[0], alpha=1 / (batch.tasks * len(batches)))
        return MetaGradient(total, losses, passes(batches))
