"""How good a run is at tasks it has never seen, by number of examples: the same episodes for whatever is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metanlp.adaptation import Adaptation, load_adaptation, save_adaptation
from metanlp.config.recipe import Evaluation
from metanlp.data.collection import TaskCollection
from metanlp.data.sampler import columns_of, some_of
from metanlp.data.types import Episode, Example
from metanlp.encoding import prompts_of
from metanlp.environment import environment_now
from metanlp.errors import UserError
from metanlp.jobs import jobs_of, predict, prompting_jobs
from metanlp.likelihood import perplexity, target_losses
from metanlp.measuring import Job
from metanlp.metrics import PERPLEXITY, WHO_IS_IT
from metanlp.progress import progress
from metanlp.results import Results, results_of
from metanlp.run import Parts, Run
from metanlp.tuned import adapting_for
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
    measured = some_of(collection.split(split), options.tasks)
    columns = columns_of(measured, options.shots, options.protocol)
    jobs = [
        job
        for label, each in labelled.items()
        for seed in options.seeds
        for shots, names in columns.items()
        for job in jobs_of(each, label, names, shots, seed, adapting_for(each, shots), options)
    ]
    jobs += prompting_jobs(run, measured, columns, options)
    baselines = [*labelled][: max(1, len(others))]  # the other runs, or else the first of the stages
    return _results_of_jobs(jobs, collection, split, options, baselines, workers=workers, show=show)


def evaluate_prompting(run: Run, *, options: Evaluation, workers: int = 1, show: bool = False) -> Results:
    """`options.prompting` alone, of the untrained backbone on test tasks. Raises UserError as `evaluate` does."""
    collection = run.prepare()
    measured = some_of(collection.split("test"), options.tasks)
    columns = columns_of(measured, options.shots, options.protocol)
    jobs = list(prompting_jobs(run, measured, columns, options))
    return _results_of_jobs(jobs, collection, "test", options, [], workers=workers, show=show)


def _results_of_jobs(
    jobs: Sequence[Job],
    collection: TaskCollection,
    split: str,
    options: Evaluation,
    baselines: Sequence[str],
    *,
    workers: int,
    show: bool,
) -> Results:
    """What the jobs came to, scored, with a progress bar."""
    with progress(f"evaluating {split}", len(jobs), show=show) as advance:
        predicted = list(predict(jobs, split, options, workers, advance))
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
