"""How many steps to adapt for: what the model writes for held-out examples decides, not their loss.

A start that is sure of itself has the lowest loss after a few steps, long before its answers are the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

from metanlp.config.recipe import Adapting
from metanlp.data.seeds import Draws, Shuffle
from metanlp.data.types import Episode, Example
from metanlp.run import Parts, Run
from metanlp.stacks import adapt_stack
from metanlp.weights import Weights
from metanlp.writing import write_queries

FEWEST = 8  # with fewer examples the recipe's number of steps is taken
HELD_OUT = 0.2  # share of the examples that is held out at a time
MOST_AT_A_TIME = 50  # examples; more would hardly choose better, and writing takes time
ENOUGH, MOST_FOLDS = 20, 3  # where fewer examples are held out at a time, other parts take their turns
TRIED = (0.1, 0.3, 1.0)  # parts of the recipe's steps that are tried; each is a whole adaptation with its own decay
METRIC = "chrF"  # tells near misses apart, also in a handful of short texts


def choose_steps(
    run: Run, parts: Parts, episode: Episode, adapting: Adapting, *, show: bool = False
) -> tuple[int, dict[str, float], str]:
    """How many steps, the mean chrF of what was written for held-out examples by steps, and the reason in words.

    Every number in `TRIED` is tried. The largest is taken that is not worse than the best by more than the standard error
    of their difference (the rule of Breiman et al., 1984, for the recipe's number instead of the simplest model): a handful
    of examples must not overrule by chance what the recipe was tuned to.
    """
    most = adapting.steps
    if len(episode.support) < FEWEST or len(_units(episode.support)) < 2:
        return most, {}, f"{most} steps, as the recipe says: too few examples to hold any out"
    folds = _folds(episode, run.recipe.seed)
    together = [replace(folds[0], query=[example for fold in folds for example in fold.query])]
    scores = {0: _scores(run, parts, together, parts.learner.spread(1))}
    for steps in sorted({max(1, round(share * most)) for share in TRIED}):
        label = f"trying {steps} steps" if show else ""
        scores[steps] = _adapted_scores(run, parts, folds, adapting, steps, label)
    means = {steps: fmean(found) for steps, found in scores.items()}
    best = _largest_as_good_as_the_best({steps: found for steps, found in scores.items() if steps})
    said = ", ".join(f"{value:.1f} after {steps}" for steps, value in means.items())
    choice = f"{best} steps: {METRIC} on {len(scores[best])} held-out examples was {said}"
    if means[best] <= means[0]:
        choice += "; adapting did not help there, so check the examples, or give more of them"
    return best, {str(steps): value for steps, value in means.items()}, choice


def _folds(episode: Episode, seed: int) -> list[Episode]:
    """The examples with a part of them as queries, and as many such parts, without overlap, as it takes to hold out enough.

    Examples of one group (a dialogue) are held out together: later replies have the earlier ones in their history.
    """
    units = _units(episode.support)
    alone = len(units) == len(episode.support)
    size = min(MOST_AT_A_TIME, max(2 if alone else 1, round(HELD_OUT * len(units))))
    count = min(MOST_FOLDS, -(-ENOUGH // size), len(units) // size)
    order = Shuffle(Draws(seed, "held out")).take(len(units), len(units))
    folds = []
    for start in range(0, count * size, size):
        held_out = [example for i in order[start : start + size] for example in units[i]][:MOST_AT_A_TIME]
        learnt = [example for i in [*order[:start], *order[start + size :]] for example in units[i]]
        folds.append(Episode(episode.task, episode.info, learnt, held_out, index=0))
    return folds


def _units(examples: Sequence[Example]) -> list[list[Example]]:
    """What is held out as a whole: the examples of a group, or one of none."""
    units: dict[str | int, list[Example]] = {}
    for place, example in enumerate(examples):
        units.setdefault(example.group or place, []).append(example)
    return list(units.values())


def _adapted_scores(
    run: Run, parts: Parts, folds: Sequence[Episode], adapting: Adapting, steps: int, label: str
) -> list[float]:
    """Of every held-out example, after adapting to its fold: side by side where the fast weights allow it."""
    stacks = [folds] if parts.learner.fast.stackable else [[fold] for fold in folds]
    scores: list[float] = []
    for number, stack in enumerate(stacks, 1):
        show = f"{label}, {number} of {len(stacks)} parts left out" if label and len(stacks) > 1 else label
        weights = adapt_stack(run, parts, stack, adapting, steps, seed=run.recipe.seed, show=show)
        scores += _scores(run, parts, stack, weights)
    return scores


def _scores(run: Run, parts: Parts, folds: Sequence[Episode], weights: Weights) -> list[float]:
    """The chrF of every held-out example, written with `weights` `(folds, *shape)`."""
    written = write_queries(run, parts, folds, weights, run.recipe.evaluation)
    return [
        run.recipe.task.score(METRIC, [text], [example.target]).value
        for fold, texts in zip(folds, written, strict=True)
        for text, example in zip(texts, fold.query, strict=True)
    ]


def _largest_as_good_as_the_best(scores: Mapping[int, Sequence[float]]) -> int:
    """`scores` of the same examples by steps."""
    best = max(scores, key=lambda steps: (fmean(scores[steps]), steps))
    for steps in sorted(scores, reverse=True):
        lost = [other - own for other, own in zip(scores[best], scores[steps], strict=True)]
        if fmean(lost) <= stdev(lost) / len(lost) ** 0.5:
            return steps
    raise AssertionError("the best is as good as itself")
