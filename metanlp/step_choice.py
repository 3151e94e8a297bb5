"""How many steps to adapt for: what the model writes for held-out examples decides, not their loss.

A start that is sure of itself has the lowest loss after a few steps, long before its answers are the best.
"""

from __future__ import annotations

from metanlp.config.recipe import Adapting
from metanlp.data.seeds import Draws, Shuffle
from metanlp.data.types import Episode
from metanlp.run import Parts, Run
from metanlp.stacks import adapt_stack
from metanlp.weights import Weights
from metanlp.writing import write_queries

HELD_OUT = 0.2  # share of the examples on which the number of steps is chosen
MOST_HELD_OUT = 50  # examples; more would hardly choose better, and writing takes time
FEWEST = 8  # with fewer examples the recipe's number of steps is taken
TRIED = (0.1, 0.3, 1.0)  # parts of the recipe's steps that are tried; each is a whole adaptation with its own decay
METRIC = "chrF"  # tells near misses apart, also in a handful of short texts


def choose_steps(
    run: Run, parts: Parts, episode: Episode, adapting: Adapting, *, show: bool = False
) -> tuple[int, dict[str, float], str]:
    """How many steps, the chrF of what was written for the held-out examples by steps, and the reason in words.

    Every number in `TRIED` is tried. Of equally good ones the larger is taken: all the examples are more to learn from.
    """
    examples, most = episode.support, adapting.steps
    if len(examples) < FEWEST:
        return most, {}, f"{most} steps, as the recipe says: too few examples to hold any out"
    count = min(MOST_HELD_OUT, max(2, round(HELD_OUT * len(examples))))
    order = Shuffle(Draws(run.recipe.seed, "held out")).take(len(examples), len(examples))
    held_out, learnt = ([examples[i] for i in part] for part in (order[:count], order[count:]))
    part = Episode(episode.task, episode.info, learnt, held_out, index=0)

    def score(weights: Weights) -> float:
        (written,) = write_queries(run, parts, [part], weights, run.recipe.evaluation)
        return run.recipe.task.score(METRIC, written, [example.target for example in held_out]).value

    scores = {0: score(parts.learner.spread(1))}
    for steps in sorted({max(1, round(share * most)) for share in TRIED}):
        label = f"trying {steps} steps" if show else ""
        scores[steps] = score(adapt_stack(run, parts, [part], adapting, steps, seed=run.recipe.seed, show=label))
    best = max((steps for steps in scores if steps), key=lambda steps: (scores[steps], steps))
    said = ", ".join(f"{value:.1f} after {steps}" for steps, value in scores.items())
    choice = f"{best} steps: {METRIC} on {count} held-out examples was {said}"
    if scores[best] <= scores[0]:
        choice += "; adapting did not help there, so check the examples, or give more of them"
    return best, {str(steps): value for steps, value in scores.items()}, choice
