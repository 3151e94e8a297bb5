"""What `metanlp tune` has chosen, and how a stage adapts to so many examples because of it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from metanlp.config.recipe import Adapting
from metanlp.data.types import Example
from metanlp.run import Run

TUNED = "tuned.json"


@dataclass(frozen=True)
class Candidate:
    """A way to adapt, and what it scored on the validation tasks."""

    learning_rate: float
    steps: int
    value: float


@dataclass(frozen=True)
class Choice:
    """What was tried at one number of shots, and the best of it; `before` is the score without adapting."""

    shots: int
    before: float
    best: Candidate
    tried: list[Candidate]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Choice:
        """The inverse of `asdict`."""
        tried = [Candidate(**one) for one in told["tried"]]
        return cls(told["shots"], told["before"], Candidate(**told["best"]), tried)


def adapting_for(run: Run, shots: int) -> Adapting:
    """How the stage adapts to so many shots: as tuned for the nearest number (by ratio), else as the recipe says."""
    adapting = run.recipe.adapting_of(run.stage)
    choices = _choices(run, adapting)
    if not choices:
        return adapting
    nearest = min(choices, key=lambda choice: (abs(math.log(max(1, shots) / choice.shots)), choice.shots))
    best = nearest.best
    return adapting.model_copy(update={"learning_rate": best.learning_rate, "steps": best.steps})


def shots_of(examples: Sequence[Example]) -> int:
    """How many shots these are: dialogues, where they belong to some, and otherwise examples."""
    return len({example.group or place for place, example in enumerate(examples)})


def keep_choices(run: Run, choices: list[Choice], metric: str, split: str) -> None:
    """Write them into the stage's folder, with the weights and the recipe's `adapting` that they are good for."""
    told: dict[str, Any] = {"run_id": run.id, "adapting": run.recipe.adapting_of(run.stage).dump()}
    told |= {"metric": metric, "split": split, "choices": [asdict(choice) for choice in choices]}
    path = run.place / TUNED
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    aside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def _choices(run: Run, adapting: Adapting) -> list[Choice]:
    """Those made for these very weights and for what the recipe says now."""
    path = run.place / TUNED
    if not path.is_file():
        return []
    told = json.loads(path.read_text(encoding="utf-8"))
    if told["run_id"] != run.id or told["adapting"] != adapting.dump():
        return []
    return [Choice.of(each) for each in told["choices"]]
