"""One stage at one number of shots, on some tasks: adapt side by side, let the model write, and judge it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from metanlp.checkpoint import latest_state
from metanlp.config.recipe import Adapting, Evaluation
from metanlp.consistency import Entailment
from metanlp.data.sampler import evaluation_episode, shots_within
from metanlp.data.types import Episode, Prompt
from metanlp.encoding import prompts_of
from metanlp.likelihood import Loss, perplexity, target_losses, total, who_is_it
from metanlp.metrics import PERPLEXITY, WHO_IS_IT, Score
from metanlp.others import others_of
from metanlp.prompting import has_persona, prompts_with
from metanlp.results import Predicted
from metanlp.run import Parts, Run
from metanlp.stacks import adapt_stack
from metanlp.weights import Weights
from metanlp.writing import write

UNTRAINED = "none"  # the algorithm of rows that show examples to the backbone


@dataclass(frozen=True)
class Job:
    """What one process measures at once.

    `besides` are tasks that are not measured here: the adaptations of `tasks` are told from theirs. `prompting` is the way
    in which the backbone's own weights see the examples; "": the stage adapts to them.
    """

    run: Run
    label: str
    tasks: tuple[str, ...]
    shots: int
    seed: int
    adapting: Adapting
    besides: tuple[str, ...] = ()
    prompting: str = ""


def measure_job(job: Job, split: str, options: Evaluation) -> list[Predicted]:
    """What there is to know of the job's tasks, each at its number of shots."""
    room = options.prompt_length if job.prompting else None
    parts = _parts(job.run.folder, job.run.stage, bool(job.prompting), room)
    return Measuring(job, split, options, parts).found()


@lru_cache(maxsize=1)
def _parts(folder: Path, stage: str, untrained: bool, room: int | None) -> Parts:
    """A process keeps the parts of the stage it worked on last."""
    run = Run.open(folder).at(stage)
    return run.build(untrained=True, max_length=room) if untrained else run.trained()


@lru_cache(maxsize=1)
def _entailment(model: str) -> Entailment:
    return Entailment.load(model)


def stacks_of(names: Sequence[str], width: int) -> list[tuple[str, ...]]:
    """The names in order, so many together; the last ones may be fewer."""
    return [tuple(names[at : at + width]) for at in range(0, len(names), width)]


def passes_of(run: Run) -> int:
    """Forward and backward passes of one example that training took, from the backbone's own weights to this stage's."""
    state = latest_state(run.checkpoints)
    after = run.recipe.stages[run.stage].after
    return (state["passes"] if state else 0) + (passes_of(run.at(after)) if after else 0)


class Measuring:
    """A job with what it works on: episodes, and what the model reads in each."""

    def __init__(self, job: Job, split: str, options: Evaluation, parts: Parts) -> None:
        self.job, self.options, self.parts, self.run = job, options, parts, job.run
        self.family = job.run.recipe.task
        self.tasks = parts.collection.split(split)
        self.episodes = {name: self._episode(name) for name in (*job.tasks, *job.besides)}
        self.prompts = {name: self._prompts(episode) for name, episode in self.episodes.items()}
        self.others = others_of(job.run, parts.collection, 0 if job.prompting else options.others, job.seed)

    def found(self) -> list[Predicted]:
        by_others: dict[str, dict[str, Loss]] = {name: {} for name in self.episodes}  # task -> whose weights -> loss
        found = {}
        for names in self._stacks(self.job.tasks):
            weights, seconds = self._adapted(names)
            for name, each in zip(names, self._of_stack(names, weights, seconds), strict=True):
                found[name] = each
            self._tell_apart(names, weights, by_others)
        for names in self._stacks(self.job.besides):
            self._tell_apart(names, self._adapted(names)[0], by_others)
        if WHO_IS_IT in self.options.metrics and not self.job.prompting:
            for name, each in found.items():
                each.measured.append(who_is_it(name, by_others[name], self.options.among))
        return list(found.values())

    def _episode(self, name: str) -> Episode:
        most = max(shots_within(self.tasks, name, self.options.shots))
        job, queries = self.job, self.options.queries
        return evaluation_episode(self.tasks, name, job.shots, job.seed, queries=queries, max_shots=most)

    def _prompts(self, episode: Episode) -> list[Prompt]:
        if self.job.prompting:
            return prompts_with(self.job.prompting, self.family, self.parts.backbone, episode, self.options)
        return prompts_of(self.family, episode, episode.query)

    def _stacks(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        return stacks_of(names, self.options.tasks_per_stack if self.parts.learner.fast.stackable else 1)

    def _adapted(self, names: Sequence[str]) -> tuple[Weights, float]:
        """The tasks' weights, and how many seconds they took."""
        job, run, began = self.job, self.run, time.perf_counter()
        if not job.shots or job.prompting:
            return self.parts.learner.spread(len(names)), 0.0
        episodes, adapting = [self.episodes[name] for name in names], job.adapting
        weights = adapt_stack(run, self.parts, episodes, adapting, adapting.steps, seed=job.seed)
        return weights, (time.perf_counter() - began) / len(names)

    def _tell_apart(self, names: Sequence[str], weights: Weights, found: dict[str, dict[str, Loss]]) -> None:
        """Note what the adaptations to `names` make of every task's queries: each reads all of them."""
        if WHO_IS_IT not in self.options.metrics or not self.job.shots or self.job.prompting:
            return
        everyone = [prompt for name in self.job.tasks for prompt in self.prompts[name]]
        losses = target_losses(self.parts, [everyone] * len(names), weights, self.options.batch)
        for whose, theirs in zip(names, losses, strict=True):
            rest = iter(theirs)
            for name in self.job.tasks:
                found[name][whose] = total([next(rest) for _ in self.prompts[name]])

    def _of_stack(self, names: Sequence[str], weights: Weights, seconds: float) -> Iterator[Predicted]:
        job, options = self.job, self.options
        prompts = [self.prompts[name] for name in names]
        written = write(self.parts, prompts, weights, options) if options.writes else [[] for _ in names]
        of_others = write(self.parts, [self.others.prompts] * len(names), weights, options)
        judged = PERPLEXITY in options.metrics
        likely = target_losses(self.parts, prompts, weights, options.batch) if judged else [[]] * len(names)
        for name, predictions, theirs, losses in zip(names, written, of_others, likely, strict=True):
            episode = self.episodes[name]
            yield Predicted(
                stage=job.label,
                algorithm=UNTRAINED if job.prompting else self.run.recipe.stages[self.run.stage].algorithm.kind,
                task=episode.task,
                shots=job.shots,
                seed=job.seed,
                passes=0 if job.prompting else passes_of(self.run),
                steps=job.adapting.steps if job.shots and not job.prompting else 0,
                seconds=seconds,
                sources=[example.source for example in episode.query],
                references=[example.target for example in episode.query],
                predictions=predictions,
                measured=list(self._measured(episode, predictions, losses)),
                other_references=self.others.references,
                other_predictions=theirs,
            )

    def _measured(self, episode: Episode, predictions: Sequence[str], losses: Sequence[Loss]) -> Iterator[Score]:
        if losses:
            yield perplexity(losses, len(self.parts.backbone.target_tokenizer))
        if self.options.nli and has_persona(self.family, episode.info):
            yield _entailment(self.options.nli).consistency(predictions, episode.info["persona"])
