"""What there is to measure, cut into jobs, and the processes that share them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

from metanlp.config.recipe import Adapting, Evaluation
from metanlp.data.seeds import seed_of
from metanlp.data.split import TaskSplit
from metanlp.errors import UserError
from metanlp.measuring import Job, measure_job, stacks_of
from metanlp.metrics import WHO_IS_IT
from metanlp.progress import Advance
from metanlp.prompting import PERSONA, people_with_persona
from metanlp.results import PROMPTED, Predicted
from metanlp.run import Run


def jobs_of(
    run: Run, label: str, tasks: Sequence[str], shots: int, seed: int, adapting: Adapting, options: Evaluation
) -> list[Job]:
    """The tasks in stacks as wide as the stage's fast weights allow; for `who_is_it` those together that are told apart."""
    if shots and WHO_IS_IT in options.metrics:
        groups = _among(tasks, options.among, seed, shots)
        return [Job(run, label, own, shots, seed, adapting, besides=besides) for own, besides in groups]
    width = options.tasks_per_stack if run.fast_weights.stackable else 1
    return [Job(run, label, stack, shots, seed, adapting) for stack in stacks_of(tasks, width)]


def prompting_jobs(
    run: Run, split: TaskSplit, columns: Mapping[int, Sequence[str]], options: Evaluation
) -> Iterator[Job]:
    """Rows of the untrained backbone. Persona sentences need no examples; examples in the prompt need some.

    UserError as of `people_with_persona`.
    """
    known = people_with_persona(run.recipe.task, split, options)
    adapting = run.recipe.adapting_of(run.stage)
    for way in options.prompting:
        for seed in options.seeds:
            for shots, tasks in columns.items():
                if bool(shots) == (way != PERSONA):
                    names = [name for name in tasks if way != PERSONA or name in known]
                    for stack in stacks_of(names, options.tasks_per_stack):
                        yield Job(run, f"{PROMPTED} ({way})", stack, shots, seed, adapting, prompting=way)


def predict(
    jobs: Sequence[Job], split: str, options: Evaluation, workers: int, advance: Advance
) -> Iterator[Predicted]:
    """What every job's tasks came to, in order; `workers` processes share the jobs."""
    for found in _done(jobs, partial(measure_job, split=split, options=options), min(workers, len(jobs))):
        yield from found
        advance(1, f"{found[0].stage} {found[0].task} {found[0].shots} shots")


def _among(names: Sequence[str], size: int, seed: int, shots: int) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Groups of tasks in a fixed random order, and others that fill a group up to `size`: chance is the same for all.

    UserError where there are fewer than `size`.
    """
    if len(names) < size:
        raise UserError(
            f"who_is_it among {size} tasks needs as many with enough examples for {shots} shots, and there are {len(names)}; "
            "lower evaluation.among, or ask for fewer shots"
        )
    order = sorted(names, key=lambda name: (seed_of(seed, "who is it", name), name))
    return [(tasks, tuple(order[: size - len(tasks)])) for tasks in stacks_of(order, size)]


def _done(jobs: Sequence[Job], do: Any, workers: int) -> Iterator[list[Predicted]]:
    """The jobs' results, in order."""
    if workers <= 1:
        yield from map(do, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(do, jobs)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
