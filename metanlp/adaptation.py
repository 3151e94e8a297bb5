"""Support -> fast weights: `adapt` makes an Adaptation of a few examples and needs no hyper-parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from metanlp.checkpoint import commit, require_verified
from metanlp.data.types import Episode, Example
from metanlp.errors import UserError, did_you_mean
from metanlp.run import Parts, Run
from metanlp.saving import load_weights, save_weights
from metanlp.stacks import adapt_stack
from metanlp.step_choice import choose_steps
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
    target = adaptation_folder(run, name)
    if not examples:
        raise UserError(f"there are no examples to adapt {name!r} to")
    parts = parts or run.trained()
    adapting = run.recipe.adapting_of(run.stage)
    episode = Episode(name, dict(info or {}), examples, [], index=0)
    steps, held_out, choice = choose_steps(run, parts, episode, adapting, show=show)
    weights = adapt_stack(
        run, parts, [episode], adapting, steps, seed=run.recipe.seed, show=f"adapting {name}" if show else ""
    )
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise UserError(
            f"adapting to {name!r} burst: some weights are no numbers; lower the recipe's adapting.learning_rate"
        )
    made = Adaptation(name, run.id, episode.info, len(examples), steps, choice, held_out)

    def write(place: Path) -> None:
        save_weights(place, run, parts, weights)
        (place / FACTS).write_text(json.dumps(asdict(made), indent=1, ensure_ascii=False), encoding="utf-8")

    commit(target, write)
    return made


def load_adaptation(run: Run, parts: Parts, name: str) -> tuple[Adaptation, Weights]:
    """An Adaptation and its weights, `(1, *shape)`. UserError where there is none, it was altered, or is of other weights."""
    folder = adaptation_folder(run, name)
    if not folder.is_dir():
        known = adaptation_names(run)
        there = f"there are {', '.join(known)}" if known else "there are none yet: `metanlp adapt` makes them"
        raise UserError(f"{run.place} has no adaptation {name!r}{did_you_mean(name, known)}; {there}")
    require_verified(folder)
    made = Adaptation(**json.loads((folder / FACTS).read_text(encoding="utf-8")))
    if made.run_id != run.id:
        raise UserError(f"adaptation {name!r} was made from other weights than {run.place} has now; adapt again")
    return made, load_weights(folder, parts)


def adaptation_names(run: Run) -> list[str]:
    return sorted(path.name for path in (run.place / "adaptations").glob("[!.]*") if (path / FACTS).is_file())


def adaptation_folder(run: Run, name: str) -> Path:
    """Where an Adaptation is kept. UserError for a name that is no plain folder name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UserError(f"{name!r} cannot name an adaptation; use letters, digits, '.', '_' and '-'")
    return run.place / "adaptations" / name
