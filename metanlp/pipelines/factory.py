"""`pipeline(task, run)`, as Hugging Face users know it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metanlp.errors import UserError, did_you_mean
from metanlp.pipelines.translation import TranslationPipeline
from metanlp.run import Run

PIPELINES = {"translation": TranslationPipeline}


def pipeline(
    task: str,
    run: Run | str | Path,
    *,
    adaptation: str | None = None,
    device: Any = None,
    info: dict[str, Any] | None = None,
) -> TranslationPipeline:
    """A callable for `task` ("translation") with the weights of `run`, adapted as `adaptation` says.

    `info` gives facts that the prompt or the tokenizer asks for, as `target_language`.
    """
    if task not in PIPELINES:
        raise UserError(f"no pipeline {task!r}{did_you_mean(task, PIPELINES)}; there are {', '.join(PIPELINES)}")
    return PIPELINES[task](run, adaptation, device=device, info=info)
