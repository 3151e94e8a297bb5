"""The model that all people share: what runs on it runs in turns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from metanlp.chat.turns import Turns
from metanlp.config.recipe import Adapting
from metanlp.data.types import Episode, Example, Prompt
from metanlp.errors import UserError
from metanlp.run import Parts, Run
from metanlp.saving import load_weights, save_weights
from metanlp.stacks import adapt_stack
from metanlp.tuned import adapting_for, shots_of
from metanlp.weights import Weights, own

SAMPLED = 256  # numbers of every weight that tell a model from another


class Model:
    """A trained run for dialogues. `base` names the very weights that adapters belong to."""

    def __init__(self, run: Run, device: torch.device | None) -> None:
        _require_dialogues(run)
        self.run, self.turns = run, Turns()
        self.parts: Parts = run.trained(device)
        self.base = _fingerprint(run, self.parts.backbone.model)

    def adapting(self, lines: Sequence[Example]) -> Adapting:
        """How a person with these lines is learnt: as the run was tuned for so many dialogues, else as the recipe says."""
        return adapting_for(self.run, shots_of(lines))

    @property
    def start(self) -> Weights:
        """Nobody's weights, `(1, *shape)`."""
        return self.parts.learner.spread(1)

    def prompt(self, lines: Sequence[str]) -> Prompt:
        """What the model reads of a conversation, the partner's line last."""
        return self.run.recipe.task.prompt_of("", {}, Example("\n".join(lines), ""))

    def stream(
        self,
        weights: Weights,
        lines: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> Iterator[str]:
        """The answer to the last of `lines` in pieces, with `weights` `(1, *shape)`. Each piece is a turn of its own."""
        pieces = self.parts.backbone.stream(
            self.prompt(lines), max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed
        )
        while True:
            with self.turns.reply(), self.parts.learner.using(weights):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def learn(
        self, people: Sequence[Sequence[Example]], adapting: Adapting, after_step: Callable[[], None]
    ) -> list[Weights]:
        """Weights `(1, *shape)` for each of several people by their lines, learnt side by side. Each step is a turn.

        `after_step` is called between turns; what it raises ends the learning.
        """
        episodes = [Episode("", {}, lines, [], index=0) for lines in people]
        seed = self.run.recipe.seed
        with ExitStack() as turn:
            turn.enter_context(self.turns.learn())

            def give_way() -> None:
                turn.close()
                after_step()
                turn.enter_context(self.turns.learn())

            stack = adapt_stack(
                self.run, self.parts, episodes, adapting, adapting.steps, seed=seed, after_step=give_way
            )
        return [
            own({name: weight[index : index + 1] for name, weight in stack.items()}) for index in range(len(people))
        ]

    def save(self, folder: Path, weights: Weights) -> None:
        """Write an adapter `(1, *shape)` in 16-bit numbers, half as large as the ones that it was learnt in."""
        half = {name: weight.half() for name, weight in weights.items()}
        if not all(bool(torch.isfinite(weight).all()) for weight in half.values()):
            raise UserError("learning burst: some weights are no numbers; lower the recipe's adapting.learning_rate")
        folder.mkdir()
        with self.turns.learn():
            save_weights(folder, self.run, self.parts, half)

    def load(self, folder: Path) -> Weights:
        """What `save` wrote, `(1, *shape)`."""
        return load_weights(folder, self.parts)


def _require_dialogues(run: Run) -> None:
    """UserError unless the run is one to talk with."""
    recipe, kind = run.recipe, run.fast_weights.kind
    if recipe.task.kind != "dialogue":
        raise UserError(
            f"{run.folder} has learnt {recipe.task.kind}, not dialogues; `metanlp runs` lists the runs, and `metanlp chat` "
            "without any talks with a small model"
        )
    if not run.fast_weights.stackable:
        raise UserError(f"{run.place} keeps {kind} weights for everybody; a chat wants adapters (fast_weights: lora)")
    if recipe.task.persona:
        raise UserError(f"{run.folder} reads persona sentences (task.persona), and a chat has none; take a run without")


def _fingerprint(run: Run, model: torch.nn.Module) -> str:
    """A hash of the stage's weights, and of some numbers of every weight of the model under them."""
    found = hashlib.sha256(run.id.encode())
    for name, weight in model.state_dict().items():
        some = weight.flatten()[:: max(1, weight.numel() // SAMPLED)].float().cpu()
        found.update(f"{name} {tuple(weight.shape)}".encode() + some.numpy().tobytes())
    return found.hexdigest()[:16]
