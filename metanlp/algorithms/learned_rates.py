"""Learning rates that are learnt (between MAML++, Antoniou et al., 2019, and Meta-SGD, Li et al., 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from metanlp.algorithms._inner_loop import InnerLoop, MetaGradient, passes
from metanlp.registry import ALGORITHMS
from metanlp.weights import ROWS

if TYPE_CHECKING:
    from torch import nn

    from metanlp.batch import EncodedEpisodes
    from metanlp.learner import Learner
    from metanlp.weights import Weights


@ALGORITHMS.register("learned_rates")
class LearnedRates(InnerLoop):
    """The start stays as it is; what is learnt is how fast it adapts, whatever the learning rate and the number of steps.

    Each weight has a rate, and each of its rows has one beside the others': an output of a matrix, a piece of an embedding, a
    number of a bias. A row ends where it started and a way further, and the way grows in proportion to its learning rate. So,
    to first order, the gradient of the rate's logarithm is the product of the way gone and the query's gradient.

    What it learns from should be tasks that the start has not met (`train.share`): one that is known by heart teaches to adapt
    less. A stage of joint training after it keeps the rates and moves the start on.
    """

    keeps_start: ClassVar[bool] = True

    def learnt(self, learner: Learner) -> dict[str, nn.Parameter]:
        """What outer steps move, by name: the rates."""
        return learner.with_rates()

    def meta_gradient(self, learner: Learner, episodes: EncodedEpisodes) -> MetaGradient:
        start, learnt = learner.spread(episodes.tasks), self.learnt(learner)
        adapted = self.adapt(learner, start, episodes.support) if episodes.support else start
        losses, grads = learner.losses_and_grads(adapted, episodes.query)
        rates: Weights = {}
        for name, grad in grads.items():
            slopes = (adapted[name] - start[name]) * grad
            rates[name + ROWS] = slopes.sum_to_size(learnt[name + ROWS].shape) / episodes.tasks
            rates[name] = rates[name + ROWS].sum()
        return MetaGradient(rates, losses, passes([*episodes.support, episodes.query]))
