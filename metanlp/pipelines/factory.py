"""`pipeline(task, run)`, as Hugging Face users know it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanlp.errors import UserError, did_you_mean
from metanlp.pipelines.translation import TranslationPipeline, Wanted
from metanlp.run import Run

if TYPE_CHECKING:
    import torch

PIPELINES = {"translation": TranslationPipeline}


def pipeline(
    task: str,
    run: Run | str | Path,
    *,
    adaptation: Wanted = None,
    device: int | str | torch.device | None = None,
    num_beams: int = 4,
    max_new_tokens: int = 128,
    batch_size: int = 32,
    info: Mapping[str, Any] | None = None,
) -> TranslationPipeline:
    """A callable for `task` ("translation") with the weights of `run`, adapted as `adaptation` says.

    `adaptation` is a name in the run, a folder, a name on the Hugging Face Hub, or a list of these. `info` gives facts that
    the prompt or the tokenizer asks for, as `target_language`.
    """
    if task not in PIPELINES:
        raise UserError(f"no pipeline {task!r}{did_you_mean(task, PIPELINES)}; there are {', '.join(PIPELINES)}")
    return PIPELINES[task](
        run,
        adaptation,
        device=device,
        num_beams=num_beams,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        info=info,
    )
