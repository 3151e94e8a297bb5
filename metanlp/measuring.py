"""One stage at one number of shots, on some tasks: adapt side by side, let the model write, and judge it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from metanlp.checkpoint import latest_state
from metanlp.config.recipe import Adapting, Evaluation
from metanlp.consistency import Entailment
from metanlp.data.sampler import evaluation_episode, left_out_episodes, shots_within
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

T = TypeVar("T")
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


def stacks_of(things: Sequence[T], width: int) -> list[tuple[T, ...]]:
    """In order, so many together; the last ones may be fewer."""
    return [tuple(things[at : at + width]) for at in range(0, len(things), width)]


def passes_of(run: Run) -> int:
    """Forward and backward passes of one example that training took, from the backbone's own weights to this stage's."""
    state = latest_state(run.checkpoints)
    after = run.recipe.stages[run.stage].after
    return (state["passes"] if state else 0) + (passes_of(run.at(after)) if after else 0)


def algorithm_of(run: Run) -> str:
    """What made the stage's fast weights: "joint", or "learned_rates, joint" where joint training went on after that."""
    stage = run.recipe.stages[run.stage]
    kind, after = stage.algorithm.kind, stage.after
    before = algorithm_of(run.at(after)) if after and after != run.recipe.base_of(run.stage) else ""
    return kind if before in ("", "joint", kind) else f"{before}, {kind}"


@dataclass(frozen=True)
class Outcome:
    """What an episode came to: a text and a loss for each of its queries, where some metric asks for them."""

    episode: Episode
    seconds: float  # to adapt
    predictions: list[str]
    losses: list[Loss]
    of_others: list[str]


class Measuring:
    """A job with what it works on: each task's episodes, one, or one for each dialogue that is left out."""

    def __init__(self, job: Job, split: str, options: Evaluation, parts: Parts) -> None:
        self.job, self.options, self.parts, self.run = job, options, parts, job.run
        self.family = job.run.recipe.task
        self.tasks = parts.collection.split(split)
        self.episodes = {name: self._episodes(name) for name in (*job.tasks, *job.besides)}
        self.others = others_of(job.run, parts.collection, 0 if job.prompting else options.others, job.seed)

    def found(self) -> list[Predicted]:
        by_others: dict[str, dict[str, Loss]] = {name: {} for name in self.job.tasks}  # task -> whose weights -> loss
        outcomes: dict[str, list[Outcome]] = {name: [] for name in self.job.tasks}
        for stack in self._stacks(self.job.tasks):
            weights, seconds = self._adapted(stack)
            for outcome in self._of_stack(stack, weights, seconds):
                outcomes[outcome.episode.task].append(outcome)
            self._tell_apart(stack, weights, by_others)
        for stack in self._stacks(self.job.besides):
            self._tell_apart(stack, self._adapted(stack)[0], by_others)
        found = {name: self._pooled(name, each) for name, each in outcomes.items()}
        if WHO_IS_IT in self.options.metrics and not self.job.prompting:
            for name, each in found.items():
                each.measured.append(who_is_it(name, by_others[name], self.options.among))
        return list(found.values())

    def _episodes(self, name: str) -> list[Episode]:
        job, asked = self.job, self.options
        if asked.protocol == "leave_one_out":
            return left_out_episodes(self.tasks, name, job.shots, job.seed, asked.queries, asked.folds)
        most = max(shots_within(self.tasks, name, asked.shots))
        return [evaluation_episode(self.tasks, name, job.shots, job.seed, queries=asked.queries, max_shots=most)]

    def _prompts(self, episode: Episode) -> list[Prompt]:
        if self.job.prompting:
            return prompts_with(self.job.prompting, self.family, self.parts.backbone, episode, self.options)
        return prompts_of(self.family, episode, episode.query)

    def _stacks(self, names: Sequence[str]) -> list[tuple[Episode, ...]]:
        episodes = [episode for name in names for episode in self.episodes[name]]
        return stacks_of(episodes, self.options.tasks_per_stack if self.parts.learner.fast.stackable else 1)

    def _adapted(self, episodes: Sequence[Episode]) -> tuple[Weights, float]:
        """The episodes' weights, and how many seconds each took."""
        job, run, began = self.job, self.run, time.perf_counter()
        if not job.shots or job.prompting:
            return self.parts.learner.spread(len(episodes)), 0.0
        weights = adapt_stack(run, self.parts, episodes, job.adapting, job.adapting.steps, seed=job.seed)
        return weights, (time.perf_counter() - began) / len(episodes)

    def _tell_apart(self, episodes: Sequence[Episode], weights: Weights, found: dict[str, dict[str, Loss]]) -> None:
        """Note what the adaptations to `episodes` make of every task's queries: each reads all of them."""
        if WHO_IS_IT not in self.options.metrics or not self.job.shots or self.job.prompting:
            return
        prompts = {name: self._prompts(episode) for name in self.job.tasks for episode in self.episodes[name]}
        everyone = [prompt for own in prompts.values() for prompt in own]
        losses = target_losses(self.parts, [everyone] * len(episodes), weights, self.options.batch)
        for whose, theirs in zip(episodes, losses, strict=True):
            rest = iter(theirs)
            for name, own in prompts.items():
                found[name][whose.task] = total([next(rest) for _ in own])

    def _of_stack(self, episodes: Sequence[Episode], weights: Weights, seconds: float) -> Iterator[Outcome]:
        options, prompts = self.options, [self._prompts(episode) for episode in episodes]
        written = write(self.parts, prompts, weights, options) if options.writes else [[] for _ in episodes]
        of_others = write(self.parts, [self.others.prompts] * len(episodes), weights, options)
        judged = PERPLEXITY in options.metrics
        likely = target_losses(self.parts, prompts, weights, options.batch) if judged else [[] for _ in episodes]
        for episode, predictions, losses, theirs in zip(episodes, written, likely, of_others, strict=True):
            yield Outcome(episode, seconds, predictions, losses, theirs)

    def _pooled(self, name: str, outcomes: Sequence[Outcome]) -> Predicted:
        """What is known of a task: all its episodes as if they were one."""
        job = self.job
        queries = [query for each in outcomes for query in each.episode.query]
        predictions = [text for each in outcomes for text in each.predictions]
        losses = [loss for each in outcomes for loss in each.losses]
        return Predicted(
            stage=job.label,
            algorithm=UNTRAINED if job.prompting else algorithm_of(self.run),
            task=name,
            shots=job.shots,
            seed=job.seed,
            passes=0 if job.prompting else passes_of(self.run),
            steps=job.adapting.steps if job.shots and not job.prompting else 0,
            seconds=fmean(each.seconds for each in outcomes),
            sources=[query.source for query in queries],
            references=[query.target for query in queries],
            predictions=predictions,
            measured=list(self._measured(self.tasks.info(name), predictions, losses)),
            other_references=self.others.references * len(outcomes),
            other_predictions=[text for each in outcomes for text in each.of_others],
        )

    def _measured(self, info: Mapping[str, Any], texts: Sequence[str], losses: Sequence[Loss]) -> Iterator[Score]:
        if losses:
            yield perplexity(losses, len(self.parts.backbone.target_tokenizer))
        if self.options.nli and has_persona(self.family, info):
            yield _entailment(self.options.nli).consistency(texts, info["persona"])
