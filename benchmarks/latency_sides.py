"""The works of `latency.py`, side by side: metanlp, and what stands beside it."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from by_hand import ByHand

    from metanlp.config.recipe import Adapting
    from metanlp.data.types import Episode

STACK_STEPS = 4
BY_LENGTH, OURS = "plain, by length", "metanlp"
Sides = dict[str, Callable[[], Any]]


class Latency:
    """The sides of each work; the first one is what the others are measured against."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        from metanlp.data.sampler import evaluation_episode
        from metanlp.pipelines.translation import TranslationPipeline
        from metanlp.tuned import adapting_for

        numbers = {"num_beams": asked.beams, "max_new_tokens": asked.new, "batch_size": asked.rows}
        self.asked, self.folder = asked, folder
        self.written: dict[str, list[str]] = {}
        self.pipeline = TranslationPipeline(asked.run, device="cpu", **numbers)
        self.run, self.parts = self.pipeline.run, self.pipeline.parts
        self.adapting: Adapting = adapting_for(self.run, asked.pairs)
        self.steps = asked.steps or self.adapting.steps
        split, seed = self.parts.collection.split("test"), self.run.recipe.seed
        language = max(split, key=lambda task: len(task.examples)).name
        self.episode = evaluation_episode(split, language, asked.pairs, seed)
        rest = [example.source for example in self.episode.query]
        self.texts = [rest[place % len(rest)] for place in range(asked.sentences)]
        self.episodes = [
            evaluation_episode(split, split.names[place % len(split)], asked.pairs, seed, queries=1)
            for place in range(asked.languages)
        ]

    def adapt_to(self, episodes: Sequence[Episode], steps: int) -> Any:
        """In a stack, also where metanlp would adapt one after another."""
        from metanlp.stacks import adapt_stack

        with patch("metanlp.stacks.work_enough", lambda *_: False):
            return adapt_stack(self.run, self.parts, episodes, self.adapting, steps, seed=self.run.recipe.seed)

    def by_hand(self, weights: Path, **options: Any) -> ByHand:
        from by_hand import ByHand

        return ByHand(self.run, self.parts, weights, **options)

    def adapt(self) -> Sides:
        from metanlp.encoding import adapting_batches, prompts_of

        plain, examples, steps = self.by_hand(self.run.model), self.episode.support, self.steps
        prompts = [prompts_of(self.run.recipe.task, self.episode, examples)]
        batches = adapting_batches(self.parts.backbone, prompts, self.adapting, steps, self.run.recipe.seed, math.inf)
        ready = [{**batch.inputs, "labels": batch.labels} for batch in batches]
        return {
            "plain passes": lambda: plain.run_passes(ready),
            "by hand": lambda: plain.fine_tune(examples, self.adapting, steps),
            OURS: lambda: self.adapt_to([self.episode], steps),
        }

    def languages(self) -> Sides:
        def one_by_one() -> None:
            for episode in self.episodes:
                self.adapt_to([episode], STACK_STEPS)

        together = {"side by side": lambda: self.adapt_to(self.episodes, STACK_STEPS)}
        return {"one by one": one_by_one, **together} if self.parts.learner.fast.stackable else {}

    def translate(self) -> Sides:
        """Each writes its translations of the texts to `written`."""
        adapted, asked = self.adapted(), self.asked
        numbers = {"beams": asked.beams, "new": asked.new, "rows": asked.rows}
        plain = self.by_hand(adapted)
        self.pipeline.adapted(adapted)  # reads it, as `plain` has
        writers: dict[str, Callable[[], list[str]]] = {
            "plain, as they come": lambda: plain.translate(self.texts, by_length=False, **numbers),
            BY_LENGTH: lambda: plain.translate(self.texts, by_length=True, **numbers),
        }
        if self.parts.learner.fast.stackable:
            merged = self.by_hand(adapted, merged=True)
            writers[f"{BY_LENGTH}, merged"] = lambda: merged.translate(self.texts, by_length=True, **numbers)
        writers[OURS] = lambda: [text.text for text in self.pipeline.stream(self.texts, adaptation=adapted)]
        return {name: partial(self._keep, name, write) for name, write in writers.items()}

    def _keep(self, name: str, write: Callable[[], list[str]]) -> None:
        self.written[name] = write()

    def adapted(self) -> Path:
        """The folder of the language's weights, as `metanlp adapt` writes it."""
        from metanlp.adaptation import FACTS, Adaptation
        from metanlp.checkpoint import commit
        from metanlp.saving import save_weights

        episode, steps = self.episode, self.steps
        weights = self.adapt_to([episode], steps)
        made = Adaptation(episode.task, self.run.id, episode.info, len(episode.support), steps, f"{steps} steps")

        def write(place: Path) -> None:
            save_weights(place, self.run, self.parts, weights)
            (place / FACTS).write_text(json.dumps(asdict(made)), encoding="utf-8")

        return commit(self.folder / "adapted", write)

    def pieces(self, texts: Sequence[str]) -> int:
        """How many pieces these are, each with its end."""
        return sum(map(len, self.parts.backbone.target_tokenizer(list(texts))["input_ids"]))
