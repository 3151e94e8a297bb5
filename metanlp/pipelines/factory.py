"""`pipeline(task, run)`, as Hugging Face users know it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metanlp.errors import UserError, did_you_mean
from metanlp.pipelines.translation import TranslationPipeline
from metanlp.run import Run

PIPELINES = {"translation": TranslationPipeline}


def pipeline(
    task: str, run: Run | str | Path, *, adaptation: str | None = None, device: Any = None, **options: Any
) -> TranslationPipeline:
    """A callable for `task` ("translation") with the weights of `run`, adapted as `adaptation` says."""
    if task not in PIPELINES:
        raise UserError(f"no pipeline {task!r}{did_you_mean(task, PIPELINES)}; there are {', '.join(PIPELINES)}")
    return PIPELINES[task](run, adaptation, device=device, **options)
