"""Every weight of the model, or those a pattern names, is a task's own. One task at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from metanlp.config.options import Options
from metanlp.errors import UserError
from metanlp.registry import FAST_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from metanlp.fast_weights._protocol import Backbone
    from metanlp.weights import Weights


@FAST_WEIGHTS.register("full")
class Full(Options):
    """The weights themselves."""

    stackable: ClassVar[bool] = False  # the model can hold the weights of one task only
    beside_a_base: ClassVar[bool] = False  # what is saved is a whole model

    match: str = Field(".*", description="regular expression; weights whose name it finds are fast, the others frozen")

    @field_validator("match")
    @classmethod
    def _compiles(cls, match: str) -> str:
        try:
            re.compile(match)
        except re.error as error:
            raise ValueError(f"{match!r} is not a regular expression: {error}") from None
        return match

    def attach(self, model: nn.Module, seed: int, new_rows: Sequence[int] = ()) -> FullWeights:
        found = {name: weight for name, weight in model.named_parameters() if re.search(self.match, name)}
        if not found:
            names = [name for name, _ in model.named_parameters()]
            raise UserError(
                f"fast_weights.match {self.match!r} finds none of the weights, as {names[0]} or {names[-1]}"
            )
        if new_rows and not any(weight is model.get_input_embeddings().weight for weight in found.values()):  # type: ignore[operator]
            raise UserError(
                f"fast_weights.match {self.match!r} leaves the embedding out: new languages and pieces would learn nothing"
            )
        for name, weight in model.named_parameters():
            weight.requires_grad_(name in found)
        return FullWeights(found)


class FullWeights:
    """Parameters whose storage can be exchanged for a task's: no copy is made, and the modules never notice."""

    stackable = Full.stackable

    def __init__(self, parameters: dict[str, nn.Parameter]) -> None:
        self.parameters = parameters
        self._slow: list[Tensor] | None = None

    def put(self, weights: Weights) -> list[Tensor]:
        """Run with `weights`, `(1, *shape)` each; returns what to differentiate by."""
        tasks = len(next(iter(weights.values())))
        if tasks != 1:
            raise RuntimeError(f"full weights run one task at a time; these are of {tasks}")
        self._slow = [parameter.data for parameter in self.parameters.values()]
        for name, parameter in self.parameters.items():
            parameter.data = weights[name][0]
        return list(self.parameters.values())

    def restore(self) -> None:
        if self._slow is not None:
            for parameter, data in zip(self.parameters.values(), self._slow, strict=True):
                parameter.data = data
            self._slow = None

    @staticmethod
    def stack(gradient: Tensor) -> Tensor:
        """The gradient of a leaf with the task axis."""
        return gradient.unsqueeze(0)

    def save(self, folder: Path, weights: Weights, backbone: Backbone, base: str) -> None:
        """The whole model, running with `weights`, as a `from_pretrained` folder."""
        self.save_whole(folder, weights, backbone)

    def save_whole(self, folder: Path, weights: Weights, backbone: Backbone) -> None:
        """The same, which needs no other model beside it."""
        backbone.save(folder)

    def load(self, folder: Path, backbone: Backbone) -> Weights:
        """The weights of a folder that `save` wrote, `(1, *shape)`."""
        try:
            model = type(backbone.model).from_pretrained(folder, dtype="float32").to(backbone.model.device)
        except (OSError, ValueError) as error:
            raise UserError(f"{folder} is not readable as a model: {error}") from None
        loaded = dict(model.named_parameters())
        return {name: loaded[name].detach().unsqueeze(0) for name in self.parameters}
