"""How good a run is at tasks it has never seen, by number of examples: the same episodes for whatever is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from metanlp.adaptation import Adaptation, load_adaptation, save_adaptation
from metanlp.checkpoint import latest_state
from metanlp.config.recipe import Evaluation
from metanlp.data.sampler import columns_of
from metanlp.data.seeds import seed_of
from metanlp.data.split import TaskSplit
from metanlp.data.types import Episode, Example
from metanlp.encoding import prompts_of
from metanlp.environment import environment_now
from metanlp.errors import UserError
from metanlp.likelihood import perplexity, target_losses
from metanlp.measuring import Job, measure_job
from metanlp.metrics import PERPLEXITY, WHO_IS_IT
from metanlp.progress import progress
from metanlp.prompting import PERSONA, has_persona
from metanlp.results import PROMPTED, Predicted, Results, results_of
from metanlp.run import Parts, Run
from metanlp.writing import write


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
    its own recipe says. 0 shots is the start itself. A task is left out at numbers of shots that it has too few examples
    for; at all others it is judged on the same queries. With `options.others` it also measures what adapting costs other
    tasks. `workers` processes share the tasks. Stages are compared with the first of them, and with every other run.
    Raises UserError where a stage is not trained to its end, another run is of other data, or no task has enough examples.
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
    _require_persona(run, collection.split(split), options)
    jobs = [
        *(
            job
            for label, each in labelled.items()
            for job in _adapting_jobs(each, label, collection.split(split), options)
        ),
        *_prompting_jobs(run, collection.split(split), options),
    ]
    predicted: list[Predicted] = []
    with progress(f"evaluating {split}", len(jobs), show=show) as advance:
        for found in _done(jobs, partial(measure_job, split=split, options=options), min(workers, len(jobs))):
            predicted.extend(found)
            advance(1, f"{found[0].stage} {found[0].task} {found[0].shots} shots")
    baselines = [*labelled][: max(1, len(others))]  # the other runs, or else the first of the stages
    return results_of(
        predicted,
        options,
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
    options, prompts = run.recipe.evaluation, prompts_of(run.recipe.task, episode, examples)
    (predictions,) = write(parts, [prompts], weights, options) if options.writes else [[]]
    scores: dict[str, dict[str, Any]] = {}
    for metric in options.metrics:
        if metric == WHO_IS_IT:
            continue  # there is nobody else
        if metric == PERPLEXITY:
            (losses,) = target_losses(parts, [prompts], weights, options.batch)
            found = perplexity(losses, len(parts.backbone.target_tokenizer))
        else:
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


def _adapting_jobs(run: Run, label: str, split: TaskSplit, options: Evaluation) -> Iterator[Job]:
    width, passes = options.tasks_per_stack if run.fast_weights.stackable else 1, passes_of(run)
    for seed in options.seeds:
        for shots, names in columns_of(split, options.shots).items():
            if shots and WHO_IS_IT in options.metrics:
                for tasks, besides in _among(names, options.among, seed, shots):
                    yield Job(run, label, tasks, shots, seed, passes, besides=besides)
            else:
                yield from (Job(run, label, tasks, shots, seed, passes) for tasks in _stacks(names, width))


def _prompting_jobs(run: Run, split: TaskSplit, options: Evaluation) -> Iterator[Job]:
    """Rows of the untrained backbone. Persona sentences need no examples; examples in the prompt need some."""
    for way in options.prompting:
        for seed in options.seeds:
            for shots, names in columns_of(split, options.shots).items():
                if way == PERSONA:
                    names = [name for name in names if has_persona(run.recipe.task, split.info(name))]
                if bool(shots) != (way == PERSONA):
                    label = f"{PROMPTED} ({way})"
                    yield from (
                        Job(run, label, tasks, shots, seed, 0, prompting=way)
                        for tasks in _stacks(names, options.tasks_per_stack)
                    )


def _require_persona(run: Run, split: TaskSplit, options: Evaluation) -> None:
    """UserError where something is asked for that needs sentences about persons, and nobody has any."""
    asking = [*(["prompting: [persona]"] if PERSONA in options.prompting else []), *(["nli"] if options.nli else [])]
    if asking and not any(has_persona(run.recipe.task, split.info(name)) for name in split.names):
        raise UserError(
            f"evaluation.{' and '.join(asking)} needs persona sentences, and collection.yaml has none for any task of the split "
            f"{split.split} that the family {run.recipe.task.kind!r} would read"
        )


def _stacks(names: Sequence[str], width: int) -> list[tuple[str, ...]]:
    return [tuple(names[at : at + width]) for at in range(0, len(names), width)]


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
    return [(tasks, tuple(order[: size - len(tasks)])) for tasks in _stacks(order, size)]


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
