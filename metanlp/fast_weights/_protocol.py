"""What every kind of fast weights attaches to a model. Only the learner calls `put` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from metanlp.weights import Weights


class Backbone(Protocol):
    """As much of a backbone as fast weights need."""

    model: Any

    def save(self, folder: Path) -> None: ...


class FastWeights(Protocol):
    """`parameters` are the slow weights by name; `stackable` says whether one pass can run many tasks' weights."""

    stackable: bool
    parameters: dict[str, nn.Parameter]

    def put(self, weights: Weights) -> list[Tensor]: ...
    def restore(self) -> None: ...
    def stack(self, gradient: Tensor) -> Tensor: ...
    def save(self, folder: Path, weights: Weights, backbone: Backbone, base: str) -> None: ...
    def save_whole(self, folder: Path, weights: Weights, backbone: Backbone) -> None: ...
    def load(self, folder: Path, backbone: Backbone) -> Weights: ...
