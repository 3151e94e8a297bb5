"""Adapting to a stack of episodes side by side, and the guard against adapting that does nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from metanlp.algorithms._inner_loop import Algorithm
from metanlp.batch import EncodedEpisodes
from metanlp.config.recipe import Adapting
from metanlp.data.seeds import seed_of
from metanlp.data.types import Episode
from metanlp.encoding import adapting_batches, pass_costs_of, prompts_of, work_enough
from metanlp.learner import Learner
from metanlp.progress import Watched, progress
from metanlp.run import Parts, Run
from metanlp.weights import Weights, own, side_by_side


def adapt_stack(
    run: Run,
    parts: Parts,
    episodes: Sequence[Episode],
    adapting: Adapting,
    steps: int,
    *,
    seed: int,
    show: str = "",
    after_step: Callable[[], None] = lambda: None,
) -> Weights:
    """The fast weights `(tasks, *shape)` of some episodes, each adapted to its own support; the caller's own.

    Side by side, or on a CPU one after another where a task's batch is work enough: then a stack saves less than it fills up.
    `after_step` is called after every step; others may use the learner meanwhile, where the fast weights stack. Raises
    RuntimeError where adapting moved no support loss at all.
    """
    learner = parts.learner
    learner.keep_pages()
    prompts = [prompts_of(run.recipe.task, episode, episode.support) for episode in episodes]
    pass_costs = pass_costs_of(learner.device, learner.precision)
    stacks = [[task] for task in prompts] if work_enough(prompts, adapting.batch, pass_costs) else [prompts]
    algorithm = run.recipe.stages[run.stage].algorithm.retuned(adapting)
    adapted = []
    with progress(show, steps * len(stacks), show=bool(show)) as advance:

        def stepped(count: int, note: str) -> None:
            advance(count, note)
            after_step()

        for stack in stacks:
            batches = adapting_batches(parts.backbone, stack, adapting, steps, seed_of(seed, "adapt"), pass_costs)
            batches = [batch.to(learner.device) for batch in batches]
            start = learner.spread(len(stack))
            before = learner.losses(start, batches[0])
            adapted.append(own(algorithm.adapt(learner, start, Watched(batches, stepped))))
            _require_moved(before, learner.losses(adapted[-1], batches[0]))
    return side_by_side(adapted)


def check_adapting(learner: Learner, algorithm: Algorithm, episodes: EncodedEpisodes) -> None:
    """RuntimeError unless adapting to these episodes moves their support losses, as a broken weight switch would not."""
    start = learner.spread(episodes.tasks)
    support = episodes.support or [episodes.query]
    before = learner.losses(start, support[0])
    _require_moved(before, learner.losses(algorithm.adapt(learner, start, support), support[0]))


def _require_moved(before: torch.Tensor, after: torch.Tensor) -> None:
    if bool((before == after).any()):
        raise RuntimeError(
            f"adapting changed nothing for some task: support losses {before.tolist()}, then {after.tolist()}. The forward pass "
            "does not use the fast weights (a wrapped or compiled model bound to old ones?), or the learning rate is too small"
        )
