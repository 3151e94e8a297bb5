"""Low-rank adapters (LoRA, Hu et al., 2021), stacked: each task its own A and B, one frozen backbone for all."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from metanlp.config.options import Options
from metanlp.errors import UserError
from metanlp.registry import FAST_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from metanlp.fast_weights._protocol import Backbone
    from metanlp.fast_weights._stacked_linear import StackedLinear
    from metanlp.fast_weights._stacked_rows import Rows
    from metanlp.weights import Weights

QUERY_AND_VALUE = ("q", "v", "q_proj", "v_proj", "query", "value", "query_key_value", "qkv_proj")


@FAST_WEIGHTS.register("lora")
class Lora(Options):
    """Adds scale * B A to chosen linear layers: A is `(r, in)`, B is `(out, r)` and starts at zero.

    The embedding's rows of new languages and pieces, where a recipe has any, are a task's own as well.
    """

    stackable: ClassVar[bool] = True  # one pass runs the weights of many tasks
    beside_a_base: ClassVar[bool] = True  # what is saved is of use only with the model it belongs to

    r: int = Field(8, ge=1, description="rank of the adapters")
    alpha: float = Field(16.0, gt=0, description="their output is scaled by alpha / r")
    targets: list[str] = Field([], description="names of the linear layers; empty: the attention's query and value")
    init: Literal["kaiming", "gaussian"] = Field("kaiming", description="how A starts, as in PEFT")

    def attach(self, model: nn.Module, seed: int, new_rows: Sequence[int] = ()) -> LoraWeights:
        from torch import nn

        from metanlp.fast_weights._stacked_linear import StackedLinear, put_in_place
        from metanlp.fast_weights._stacked_rows import attach_rows

        targets = self.targets or [name for name in QUERY_AND_VALUE if _linears(model, [name])]
        places = _linears(model, targets)
        missing = [target for target in self.targets if not _linears(model, [target])]
        if not places or missing:
            names = sorted(
                {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
            )
            other = any(type(module).__name__ == "Conv1D" for module in model.modules())
            more = "; this model's other layers are Conv1D, as GPT-2's, which get no adapters" if other else ""
            raise UserError(
                f"fast_weights.targets {missing or targets} are no linear layers here; there are {', '.join(names)}{more}"
            )
        model.requires_grad_(False)
        layers: dict[str, StackedLinear] = {}
        for index, place in enumerate(places):
            linear: Any = model.get_submodule(place)
            layers[place] = StackedLinear(linear, self.r, self.alpha / self.r, self.init, (seed, index))
            put_in_place(model, place, layers[place])
        rows = attach_rows(model, new_rows) if new_rows else []
        encodes = getattr(getattr(model, "config", None), "is_encoder_decoder", True)
        return LoraWeights(self, layers, targets, rows, "SEQ_2_SEQ_LM" if encodes else "CAUSAL_LM")


def row_name(place: str) -> str:
    """PEFT's name for the rows of a module."""
    return f"{place}.token_adapter.trainable_tokens_delta"


def _linears(model: nn.Module, targets: list[str]) -> list[str]:
    from torch import nn

    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and any(name == target or name.endswith(f".{target}") for target in targets)
    ]


class LoraWeights:
    """The adapters of a model. `parameters` are the slow ones, named as PEFT names them, and `problem` is PEFT's task type."""

    stackable = Lora.stackable

    def __init__(
        self,
        options: Lora,
        layers: dict[str, StackedLinear],
        targets: list[str],
        rows: Sequence[Rows],
        problem: str,
    ) -> None:
        self.options, self.layers, self.targets, self.problem = options, layers, targets, problem
        self.rows = {row_name(each.places[0]): each for each in rows}
        self.parameters: dict[str, nn.Parameter] = {}
        for place, layer in layers.items():
            self.parameters[f"{place}.lora_A.weight"] = layer.lora_A
            self.parameters[f"{place}.lora_B.weight"] = layer.lora_B
        self.parameters |= {name: each.slow for name, each in self.rows.items()}

    def put(self, weights: Weights) -> list[Tensor]:
        """Run with `weights`, `(tasks, *shape)` each; returns what to differentiate by."""
        leaves = {name: weights[name].detach().requires_grad_() for name in self.parameters}
        for place, layer in self.layers.items():
            layer.fast = leaves[f"{place}.lora_A.weight"], leaves[f"{place}.lora_B.weight"]
        for name, rows in self.rows.items():
            rows.run_with(leaves[name])
        return list(leaves.values())

    def restore(self) -> None:
        for layer in self.layers.values():
            layer.fast = None
        for rows in self.rows.values():
            rows.run_with(None)

    @staticmethod
    def stack(gradient: Tensor) -> Tensor:
        """The gradient of a leaf with the task axis, which it has."""
        return gradient

    def save(self, folder: Path, weights: Weights, backbone: Backbone, base: str) -> None:
        """A PEFT adapter folder that names `base` as the model it belongs to."""
        from metanlp.fast_weights._peft_folder import write_adapter

        write_adapter(folder, self, weights, base)

    def save_whole(self, folder: Path, weights: Weights, backbone: Backbone) -> None:
        """The model with the adapters of one task, `(1, *shape)`, added into its weights, without adapters."""
        from metanlp.fast_weights._stacked_linear import put_in_place

        model = backbone.model
        with ExitStack() as written:
            for place, layer in self.layers.items():
                a, b = (weights[f"{place}.lora_{side}.weight"][0] for side in "AB")
                put_in_place(model, place, layer.merged(a, b))
                written.callback(put_in_place, model, place, layer)
            for name, rows in self.rows.items():
                written.enter_context(rows.written_in(model, weights[name][0]))
            backbone.save(folder)

    def load(self, folder: Path, backbone: Backbone) -> Weights:
        """The weights of an adapter folder, `(1, *shape)`; UserError where it is not one of just this model."""
        from metanlp.fast_weights._peft_folder import read_adapter

        return read_adapter(folder, self)
