"""Learning rates that are learnt, one for each weight (MAML++, Antoniou et al., 2019; Meta-SGD, Li et al., 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from metanlp.algorithms._inner_loop import InnerLoop, MetaGradient, passes
from metanlp.registry import ALGORITHMS

if TYPE_CHECKING:
    from torch import nn

    from metanlp.batch import EncodedEpisodes
    from metanlp.learner import Learner


@ALGORITHMS.register("learned_rates")
class LearnedRates(InnerLoop):
    """The start stays as it is; what is learnt is how fast each weight adapts, whatever the learning rate and the steps.

    A weight ends where it started and a way further, and the way grows in proportion to the weight's learning rate. So, to
    first order, the gradient of the rate's logarithm is the product of the way gone and the query's gradient.

    What it learns from should be tasks that the start has not met (`train.share`): one that is known by heart teaches to adapt
    less. A stage of joint training after it keeps the rates and moves the start on.
    """

    keeps_start: ClassVar[bool] = True

    def learnt(self, learner: Learner) -> dict[str, nn.Parameter]:
        """What outer steps move, by name: the rates."""
        return learner.with_rates()

    def meta_gradient(self, learner: Learner, episodes: EncodedEpisodes) -> MetaGradient:
        start = learner.spread(episodes.tasks)
        adapted = self.adapt(learner, start, episodes.support) if episodes.support else start
        losses, grads = learner.losses_and_grads(adapted, episodes.query)
        rates = {name: ((adapted[name] - start[name]) * grad).sum() / episodes.tasks for name, grad in grads.items()}
        return MetaGradient(rates, losses, passes([*episodes.support, episodes.query]))
