"""One task's weights in a folder that other tools load: a Hugging Face model (full), a PEFT adapter (lora)."""

from __future__ import annotations

from pathlib import Path

from metanlp.run import Parts, Run
from metanlp.weights import Weights


def export_model(folder: Path, run: Run, parts: Parts) -> None:
    """The slow weights of a trained stage, for `from_pretrained` or `peft`."""
    save_weights(folder, run, parts, parts.learner.spread(1))


def save_weights(folder: Path, run: Run, parts: Parts, weights: Weights) -> None:
    """Write the weights `(1, *shape)` of one task."""
    with parts.learner.using(weights):
        parts.learner.fast.save(folder, weights, parts.backbone, run.base)


def load_weights(folder: Path, parts: Parts) -> Weights:
    """What `save_weights` wrote; UserError where it is not of this model."""
    return parts.learner.fast.load(folder, parts.backbone)
