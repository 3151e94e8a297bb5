"""Episodes -> batches: where a task family's prompts meet a backbone's tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from metanlp.batch import Batch, EncodedEpisodes
from metanlp.config.languages import Additions
from metanlp.config.recipe import Adapting
from metanlp.data.seeds import Draws, Shuffle, seed_of
from metanlp.data.types import Episode, Example, Prompt


class TaskFamily(Protocol):
    """What `tasks/*.py` provide."""

    def additions(self) -> Additions: ...
    def prompt_of(self, task: str, info: Mapping[str, Any], example: Example) -> Prompt: ...


class Backbone(Protocol):
    """What `backbones/*.py` build."""

    model: Any
    tokenizer: Any
    new_rows: Sequence[int]

    def encode(self, prompts: Sequence[Sequence[Prompt]], seed: int | None = None) -> Batch: ...
    def generate(
        self, prompts: Sequence[Sequence[Prompt]], *, beams: int = 1, max_new_tokens: int = 128
    ) -> list[list[str]]: ...
    def save(self, folder: Any) -> None: ...


def prompts_of(family: TaskFamily, episode: Episode, examples: Sequence[Example]) -> list[Prompt]:
    return [family.prompt_of(episode.task, episode.info, example) for example in examples]


def encode_episodes(
    family: TaskFamily, backbone: Backbone, episodes: Sequence[Episode], inner_steps: int, seed: int
) -> EncodedEpisodes:
    """A stack of episodes of equal shape. The support is dealt out over `inner_steps` batches of fresh examples."""
    key = episodes[0].index  # a stack is the same stack in any number of processes
    rows = len(episodes[0].support) // inner_steps
    support = [
        backbone.encode(
            [prompts_of(family, episode, episode.support[step * rows : (step + 1) * rows]) for episode in episodes],
            seed_of(seed, "dropout", key, step),
        )
        for step in range(inner_steps if rows else 0)
    ]
    query = [prompts_of(family, episode, episode.query) for episode in episodes]
    return EncodedEpisodes(support, backbone.encode(query, seed_of(seed, "dropout", key, "query")))


def adapting_batches(
    backbone: Backbone, prompts: Sequence[Sequence[Prompt]], adapting: Adapting, steps: int, seed: int
) -> list[Batch]:
    """A batch for each of `steps` steps over the prompts of some tasks, equally many each.

    All examples at once where they fit in a batch; otherwise a fresh order for every pass through them.
    """
    count = len(prompts[0])
    if count <= adapting.batch:
        batch = backbone.encode(prompts)
        return [replace(batch, seed=seed_of(seed, "dropout", step)) for step in range(steps)]
    passes = -(-steps * adapting.batch // count)
    order = [at for index in range(passes) for at in Shuffle(Draws(seed, "order", index)).take(count, count)]
    batches = []
    for step in range(steps):
        chosen = order[step * adapting.batch : (step + 1) * adapting.batch]
        rows = [[task[index] for index in chosen] for task in prompts]
        batches.append(backbone.encode(rows, seed_of(seed, "dropout", step)))
    return batches
