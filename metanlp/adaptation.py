"""Support -> fast weights: `adapt` makes an Adaptation of a few examples and needs no hyper-parameters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from metanlp.algorithms._inner_loop import Algorithm
from metanlp.batch import EncodedEpisodes
from metanlp.card import model_card
from metanlp.checkpoint import CARD, commit, require_verified
from metanlp.config.recipe import Adapting
from metanlp.data.seeds import Draws, Shuffle, seed_of
from metanlp.data.types import Episode, Example
from metanlp.encoding import adapting_batches, prompts_of
from metanlp.errors import UserError, did_you_mean
from metanlp.learner import Learner
from metanlp.progress import Watched, progress
from metanlp.run import Parts, Run
from metanlp.saving import load_weights, save_weights
from metanlp.weights import Weights, own

FACTS = "adaptation.json"
HELD_OUT = 0.2  # share of the examples on which the number of steps is chosen
FEWEST_TO_HOLD_OUT = 8  # with fewer examples the recipe's number of steps is taken
TRIED = (0.1, 0.3, 1.0)  # parts of the recipe's steps that are tried; each is a whole adaptation with its own decay


@dataclass(frozen=True)
class Adaptation:
    """Fast weights under a name, tied to the very weights of the run they came from."""

    name: str
    run_id: str
    task_info: Mapping[str, Any]
    examples: int
    steps: int
    choice: str  # how the number of steps came about, in words
    held_out: Mapping[str, float] = field(default_factory=dict)  # steps -> loss on the held-out examples
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # metric -> value, signature, examples


def adapt(
    run: Run | str | Path,
    examples: Sequence[Example],
    *,
    name: str,
    info: Mapping[str, Any] | None = None,
    parts: Parts | None = None,
    show: bool = False,
) -> Adaptation:
    """Adapt `run` to `examples` and save the result under `name` in the run.

    The number of steps, up to the recipe's `adapting.steps`, is chosen on a fifth of the examples, left out for that
    purpose; then all of them are learnt from. Raises UserError for a bad name, no examples, or weights that are no numbers,
    RuntimeError where adapting changed nothing.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    adaptation_folder(run, name)
    parts = parts or run.trained()
    made, weights = learn(run, parts, examples, name=name, info=info, show=show)
    save_adaptation(run, parts, made, weights)
    return made


def learn(
    run: Run,
    parts: Parts,
    examples: Sequence[Example],
    *,
    name: str,
    info: Mapping[str, Any] | None = None,
    show: bool = False,
) -> tuple[Adaptation, Weights]:
    """What `adapt` saves, and its weights `(1, *shape)`, without saving anything."""
    if not examples:
        raise UserError(f"there are no examples to adapt {name!r} to")
    adapting = run.recipe.adapting_of(run.stage)
    episode = Episode(name, dict(info or {}), examples, [], index=0)
    steps, held_out, choice = _choose_steps(run, parts, episode, adapting, show)
    weights = adapt_stack(
        run, parts, [episode], adapting, steps, seed=run.recipe.seed, show=f"adapting {name}" if show else ""
    )
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise UserError(
            f"adapting to {name!r} burst: some weights are no numbers; lower the recipe's adapting.learning_rate"
        )
    return Adaptation(name, run.id, episode.info, len(examples), steps, choice, held_out), weights


def save_adaptation(run: Run, parts: Parts, made: Adaptation, weights: Weights) -> None:
    """Keep an Adaptation in the run: weights, facts, and a card for people."""

    def write(place: Path) -> None:
        save_weights(place, run, parts, weights)
        (place / FACTS).write_text(json.dumps(asdict(made), indent=1, ensure_ascii=False), encoding="utf-8")
        (place / CARD).write_text(model_card(run, parts, made), encoding="utf-8")

    commit(adaptation_folder(run, made.name), write)


def load_adaptation(run: Run, parts: Parts, where: str | Path) -> tuple[Adaptation, Weights]:
    """An Adaptation, by its name in the run or by its folder (a Path), and its weights, `(1, *shape)`.

    UserError where there is none, it was altered, or is of other weights.
    """
    folder = where if isinstance(where, Path) else existing_folder(run, where)
    made = read_facts(folder)
    if made.run_id != run.id:
        raise UserError(
            f"adaptation {made.name!r} in {folder} was made from other weights ({made.run_id}) than {run.place} "
            f"has now ({run.id}); adapt again, or take the run it was made from"
        )
    return made, load_weights(folder, parts)


def read_facts(folder: Path) -> Adaptation:
    """What is known of the Adaptation in a folder. UserError where the folder holds none, or was altered."""
    if not (folder / FACTS).is_file():
        raise UserError(f"{folder} is no adaptation: there is no {FACTS} in it; `metanlp adapt` makes them")
    require_verified(folder)
    try:
        return Adaptation(**json.loads((folder / FACTS).read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise UserError(f"{folder / FACTS} tells of no adaptation that this version knows: {error}") from None


def existing_folder(run: Run, name: str) -> Path:
    """The folder of an Adaptation of the run; UserError with the nearest name where there is none."""
    folder = adaptation_folder(run, name)
    if not folder.is_dir():
        known = adaptation_names(run)
        there = f"there are {', '.join(known)}" if known else "there are none yet: `metanlp adapt` makes them"
        raise UserError(f"{run.place} has no adaptation {name!r}{did_you_mean(name, known)}; {there}")
    return folder


def adaptation_names(run: Run) -> list[str]:
    return sorted(path.name for path in (run.place / "adaptations").glob("[!.]*") if (path / FACTS).is_file())


def adaptation_folder(run: Run, name: str) -> Path:
    """Where an Adaptation is kept. UserError for a name that is no plain folder name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UserError(f"{name!r} cannot name an adaptation; use letters, digits, '.', '_' and '-'")
    return run.place / "adaptations" / name


def adapt_stack(
    run: Run,
    parts: Parts,
    episodes: Sequence[Episode],
    adapting: Adapting,
    steps: int,
    *,
    seed: int,
    show: str = "",
) -> Weights:
    """The fast weights `(tasks, *shape)` of a stack of episodes with equally many support examples, the caller's own.

    Raises RuntimeError where adapting moved no support loss at all.
    """
    learner = parts.learner
    prompts = [prompts_of(run.recipe.task, episode, episode.support) for episode in episodes]
    batches = adapting_batches(parts.backbone, prompts, adapting, steps, seed_of(seed, "adapt"))
    batches = [batch.to(learner.device) for batch in batches]
    start = learner.spread(len(episodes))
    before = learner.losses(start, batches[0])
    algorithm = run.recipe.stages[run.stage].algorithm.retuned(adapting)
    with progress(show, steps, show=bool(show)) as advance:
        weights = own(algorithm.adapt(learner, start, Watched(batches, advance)))
    _require_moved(before, learner.losses(weights, batches[0]))
    return weights


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


def _choose_steps(
    run: Run, parts: Parts, episode: Episode, adapting: Adapting, show: bool
) -> tuple[int, dict[str, float], str]:
    """How many steps, the held-out losses by steps, and the reason in words."""
    examples = episode.support
    if len(examples) < FEWEST_TO_HOLD_OUT:
        return adapting.steps, {}, f"{adapting.steps} steps, as the recipe says: too few examples to hold any out"
    count = max(2, round(HELD_OUT * len(examples)))
    order = Shuffle(Draws(run.recipe.seed, "held out")).take(len(examples), len(examples))
    part = Episode(episode.task, episode.info, [examples[i] for i in order[count:]], [], index=0)
    judged = [prompts_of(run.recipe.task, episode, [examples[i] for i in order[:count]])]
    held_out = parts.backbone.encode(judged).to(parts.learner.device)
    losses = {0: float(parts.learner.losses(parts.learner.spread(1), held_out))}
    for share in TRIED:
        steps = max(1, round(share * adapting.steps))
        label = f"trying {steps} steps" if show else ""
        weights = adapt_stack(run, parts, [part], adapting, steps, seed=run.recipe.seed, show=label)
        loss = float(parts.learner.losses(weights, held_out))
        losses[steps] = loss if math.isfinite(loss) else math.inf
        if losses[steps] > min(losses.values()):
            break  # more steps only learn these examples by heart
    tried = {steps: loss for steps, loss in losses.items() if steps}
    best = min(tried, key=lambda steps: tried[steps])
    said = ", ".join(f"{loss:.3f} after {steps}" for steps, loss in losses.items())
    choice = f"{best} steps: the loss on {count} held-out examples was {said}"
    if losses[best] >= losses[0]:
        choice += "; adapting did not help there, so check the examples, or give more of them"
    return best, {str(steps): loss for steps, loss in losses.items()}, choice
