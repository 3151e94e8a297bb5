"""One task's weights in a folder that other tools load: a Hugging Face model (full), a PEFT adapter (lora)."""

from __future__ import annotations

from pathlib import Path

from metanlp.checkpoint import commit, verified
from metanlp.run import Parts, Run
from metanlp.weights import Weights


def export(run: Run, parts: Parts) -> None:
    """The slow weights of a trained stage in the folders `run.exports`."""
    slow = parts.learner.spread(1)
    commit(run.model, lambda place: save_weights(place, run, parts, slow))
    for folder in run.exports[1:]:
        with parts.learner.holding(slow):
            commit(folder, lambda place: parts.learner.fast.save_whole(place, slow, parts.backbone))


def exported(run: Run) -> bool:
    """Whether all of them are there, as they were written."""
    return all(verified(folder) for folder in run.exports)


def save_weights(folder: Path, run: Run, parts: Parts, weights: Weights) -> None:
    """Write the weights `(1, *shape)` of one task."""
    with parts.learner.holding(weights):
        parts.learner.fast.save(folder, weights, parts.backbone, run.base)


def load_weights(folder: Path, parts: Parts) -> Weights:
    """What `save_weights` wrote; UserError where it is not of this model."""
    return parts.learner.fast.load(folder, parts.backbone)
