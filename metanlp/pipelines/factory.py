"""`pipeline(task, run)`, as Hugging Face users know it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanlp.errors import UserError, did_you_mean
from metanlp.pipelines._adapted import Wanted
from metanlp.pipelines.dialogue import DialoguePipeline
from metanlp.pipelines.translation import TranslationPipeline
from metanlp.run import Run

if TYPE_CHECKING:
    import torch

PIPELINES: dict[str, Any] = {"translation": TranslationPipeline, "dialogue": DialoguePipeline}


def pipeline(
    task: str,
    run: Run | str | Path,
    *,
    adaptation: Wanted = None,
    device: int | str | torch.device | None = None,
    num_beams: int | None = None,
    max_new_tokens: int = 128,
    batch_size: int = 32,
    do_sample: bool | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    info: Mapping[str, Any] | None = None,
) -> Any:
    """A `TranslationPipeline` or a `DialoguePipeline`, as `task` ("translation", "dialogue") says, with the weights of `run`.

    `adaptation` is a name in the run, a folder, a name on the Hugging Face Hub, or a list of these. `info` gives facts that
    the prompt or the tokenizer asks for, as `target_language`. Translations are searched for with 4 beams unless `num_beams`
    says otherwise; replies are the likeliest piece after piece, or drawn (`do_sample`, `temperature`, `top_p`, `seed`).
    """
    if task not in PIPELINES:
        raise UserError(f"no pipeline {task!r}{did_you_mean(task, PIPELINES)}; there are {', '.join(PIPELINES)}")
    drawing = {"do_sample": do_sample, "temperature": temperature, "top_p": top_p, "seed": seed}
    given = {name: value for name, value in {"num_beams": num_beams, **drawing}.items() if value is not None}
    if task == "translation" and (odd := [name for name in drawing if name in given]):
        raise UserError(f"translations are not drawn at random, so {', '.join(odd)} would do nothing; leave it out")
    return PIPELINES[task](
        run,
        adaptation,
        device=device,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        info=info,
        **given,
    )
