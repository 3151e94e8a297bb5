"""What adapting to one task costs the others: the same few examples of training tasks, for whatever is measured."""

from __future__ import annotations

from dataclasses import dataclass

from metanlp.data.collection import TaskCollection
from metanlp.data.sampler import evaluation_episode
from metanlp.data.seeds import seed_of
from metanlp.data.types import Prompt
from metanlp.encoding import prompts_of
from metanlp.run import Run

EXAMPLES = 10  # of each task


@dataclass(frozen=True)
class Others:
    """What the model reads, and should still write as well as it did before adapting."""

    prompts: list[Prompt]
    references: list[str]


def others_of(run: Run, collection: TaskCollection, count: int, seed: int) -> Others:
    """Examples of `count` training tasks (all, where there are fewer), the same for every run of this collection."""
    split = collection.split("train")
    names = sorted(split.names, key=lambda name: (seed_of(seed, "others", name), name))[:count]
    episodes = [evaluation_episode(split, name, 0, seed, queries=EXAMPLES) for name in names]
    return Others(
        [prompt for episode in episodes for prompt in prompts_of(run.recipe.task, episode, episode.query)],
        [example.target for episode in episodes for example in episode.query],
    )
