"""How good a run is at tasks it has never seen, by number of examples: the same episodes for whatever is compared."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from metanlp.adaptation import Adaptation, load_adaptation, save_adaptation
from metanlp.checkpoint import latest_state
from metanlp.config.recipe import Adapting, Evaluation
from metanlp.data.sampler import columns_of, evaluation_episode, shots_within
from metanlp.data.types import Episode, Example
from metanlp.environment import environment_now
from metanlp.errors import UserError
from metanlp.others import others_of
from metanlp.progress import Advance, progress
from metanlp.results import Predicted, Results, results_of
from metanlp.run import Parts, Run
from metanlp.stacks import adapt_stack
from metanlp.tuned import adapting_for
from metanlp.writing import write, write_queries


@dataclass(frozen=True)
class Job:
    """One stage of one run, on some tasks, at one number of shots."""

    run: Run
    label: str
    tasks: tuple[str, ...]
    shots: int
    seed: int
    adapting: Adapting


def evaluate(
    run: Run | str | Path,
    *,
    split: str = "test",
    options: Evaluation | None = None,
    against: Sequence[Run | str | Path] = (),
    workers: int = 1,
    show: bool = False,
) -> Results:
    """Adapt to every task of `split` at every number of shots, let the model write, and score what it wrote.

    Measures `options.stages` of `run` (by default as its recipe says) and the runs it is held `against`, each adapting as
    tuned, or else as its own recipe says. 0 shots is the start itself. A task is left out at numbers of shots that it has
    too few examples for; at all others it is judged on the same queries. With `options.others` it also measures what
    adapting costs other tasks. `workers` processes share the tasks. Stages are compared with the first of them, and with
    every other run. Raises UserError where a stage is not trained to its end, another run is of other data, or no task has
    enough examples.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    options = options or run.recipe.evaluation
    chosen = [run.at(stage) for stage in options.stages or [run.stage]]
    others = [other if isinstance(other, Run) else Run.open(other) for other in against]
    labelled = {f"{each.folder.name}/{each.stage}": each for each in others} | {each.stage: each for each in chosen}
    if len(labelled) < len(others) + len(chosen):
        raise UserError("two of the runs have one name, and results could not be told apart: rename a run's folder")
    collection = run.prepare()
    for label, each in labelled.items():
        if each.prepare().digest != collection.digest:
            raise UserError(f"{label} is of other data than {run.folder}: their tasks cannot be compared")
        if not each.finished():
            raise each.unfinished
    columns = columns_of(collection.split(split), options.shots)
    jobs = [
        job
        for label, each in labelled.items()
        for seed in options.seeds
        for shots, names in columns.items()
        for job in jobs_of(each, label, names, shots, seed, adapting_for(each, shots), options)
    ]
    with progress(f"evaluating {split}", len(jobs), show=show) as advance:
        predicted = list(predict(jobs, split, options, workers, advance))
    baselines = [*labelled][: max(1, len(others))]  # the other runs, or else the first of the stages
    return results_of(
        predicted,
        options.metrics,
        baselines,
        collection=collection.path.name,
        digest=collection.digest,
        split=split,
        environment=environment_now(),
    )


def measure(run: Run, parts: Parts, name: str, examples: Sequence[Example]) -> Adaptation:
    """Score an Adaptation of the run on examples that it did not learn from, and keep the scores with it."""
    made, weights = load_adaptation(run, parts, name)
    episode = Episode(name, made.task_info, [], examples, index=0)
    (predictions,) = write_queries(run, parts, [episode], weights, run.recipe.evaluation)
    scores: dict[str, dict[str, Any]] = {}
    for metric in run.recipe.evaluation.metrics:
        found = run.recipe.task.score(metric, predictions, [example.target for example in examples])
        scores[metric] = {"value": found.value, "signature": found.signature, "examples": len(examples)}
    measured = replace(made, scores=scores)
    save_adaptation(run, parts, measured, weights)
    return measured


def passes_of(run: Run) -> int:
    """Forward and backward passes of one example that training took, from the backbone's own weights to this stage's."""
    state = latest_state(run.checkpoints)
    after = run.recipe.stages[run.stage].after
    return (state["passes"] if state else 0) + (passes_of(run.at(after)) if after else 0)


def jobs_of(
    run: Run, label: str, tasks: Sequence[str], shots: int, seed: int, adapting: Adapting, options: Evaluation
) -> list[Job]:
    """The tasks in stacks as wide as the stage's fast weights allow."""
    width = options.tasks_per_stack if run.fast_weights.stackable else 1
    stacks = [tuple(tasks[at : at + width]) for at in range(0, len(tasks), width)]
    return [Job(run, label, stack, shots, seed, adapting) for stack in stacks]


def predict(
    jobs: Sequence[Job], split: str, options: Evaluation, workers: int, advance: Advance
) -> Iterator[Predicted]:
    """What every job's tasks came to, in order; `workers` processes share the jobs."""
    for found in _done(jobs, partial(_predict, split=split, options=options), min(workers, len(jobs))):
        yield from found
        advance(1, f"{found[0].stage} {found[0].task} {found[0].shots} shots")


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


@lru_cache(maxsize=1)
def _parts(folder: Path, stage: str) -> Parts:
    """A process keeps the parts of the stage it worked on last."""
    return Run.open(folder).at(stage).trained()


def _predict(job: Job, split: str, options: Evaluation) -> list[Predicted]:
    """Adapt to a job's tasks side by side and let the model write for their queries."""
    run = job.run
    parts = _parts(run.folder, run.stage)
    tasks = parts.collection.split(split)
    most = {name: max(shots_within(tasks, name, options.shots)) for name in job.tasks}
    episodes = [
        evaluation_episode(tasks, name, job.shots, job.seed, queries=options.queries, max_shots=most[name])
        for name in job.tasks
    ]
    began = time.perf_counter()
    if job.shots:
        weights = adapt_stack(run, parts, episodes, job.adapting, job.adapting.steps, seed=job.seed)
    else:
        weights = parts.learner.spread(len(episodes))
    seconds = (time.perf_counter() - began) / len(episodes)
    written = write_queries(run, parts, episodes, weights, options)
    others = others_of(run, parts.collection, options.others, job.seed)
    of_others = write(parts, [others.prompts] * len(episodes), weights, options)
    return [
        Predicted(
            stage=job.label,
            algorithm=run.recipe.stages[run.stage].algorithm.kind,
            task=episode.task,
            shots=job.shots,
            seed=job.seed,
            passes=passes_of(run),
            steps=job.adapting.steps if job.shots else 0,
            seconds=seconds,
            sources=[example.source for example in episode.query],
            references=[example.target for example in episode.query],
            predictions=predictions,
            other_references=others.references,
            other_predictions=theirs,
        )
        for episode, predictions, theirs in zip(episodes, written, of_others, strict=True)
    ]
