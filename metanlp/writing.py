"""What a model writes for several tasks at once."""

from __future__ import annotations

from collections.abc import Sequence

from metanlp.config.recipe import Evaluation
from metanlp.data.types import Episode, Prompt
from metanlp.encoding import filled, prompts_of
from metanlp.run import Parts, Run
from metanlp.weights import Weights


def write_queries(
    run: Run, parts: Parts, episodes: Sequence[Episode], weights: Weights, options: Evaluation
) -> list[list[str]]:
    """A text for every query of every episode, written with `weights` `(episodes, *shape)`."""
    prompts = [prompts_of(run.recipe.task, episode, episode.query) for episode in episodes]
    return write(parts, prompts, weights, options)


def write(parts: Parts, prompts: Sequence[Sequence[Prompt]], weights: Weights, options: Evaluation) -> list[list[str]]:
    """A text for every prompt of every task, written with `weights` `(tasks, *shape)`.

    Rows of all tasks go together; a task with fewer prompts than the longest is filled up with repeats of its last.
    """
    rows, longest = max(1, options.batch // len(prompts)), max(len(task) for task in prompts)
    level = [filled(task, longest) for task in prompts]
    written: list[list[str]] = [[] for _ in prompts]
    with parts.learner.generating(weights):
        for at in range(0, longest, rows):
            chunk = [task[at : at + rows] for task in level]
            texts = parts.backbone.generate(chunk, beams=options.beams, max_new_tokens=options.max_new_tokens)
            for own, new in zip(written, texts, strict=True):
                own.extend(new)
    return [own[: len(task)] for own, task in zip(written, prompts, strict=True)]
