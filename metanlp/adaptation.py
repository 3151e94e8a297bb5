"""Support -> fast weights: `adapt` makes an Adaptation of a few examples and needs no hyper-parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from metanlp.card import model_card
from metanlp.checkpoint import CARD, commit, require_verified
from metanlp.data.types import Episode, Example
from metanlp.errors import UserError, did_you_mean
from metanlp.run import Parts, Run
from metanlp.saving import load_weights, save_weights
from metanlp.stacks import adapt_stack
from metanlp.step_choice import choose_steps
from metanlp.tuned import adapting_for, shots_of
from metanlp.weights import Weights

FACTS = "adaptation.json"


@dataclass(frozen=True)
class Adaptation:
    """Fast weights under a name, tied to the very weights of the run they came from."""

    name: str
    run_id: str
    task_info: Mapping[str, Any]
    examples: int
    steps: int
    choice: str  # how the number of steps came about, in words
    held_out: Mapping[str, float] = field(default_factory=dict)  # steps -> chrF on the held-out examples
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

    The number of steps, up to the recipe's `adapting.steps`, is chosen by what the model writes for a fifth of the examples,
    left out for that purpose; then all of them are learnt from. Raises UserError for a bad name, no examples, or weights
    that are no numbers, RuntimeError where adapting changed nothing.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    adaptation_folder(run, name)  # a bad name is refused before anything is learnt
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
    adapting = adapting_for(run, shots_of(examples))
    episode = Episode(name, dict(info or {}), examples, [], index=0)
    steps, held_out, choice = choose_steps(run, parts, episode, adapting, show=show)
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
