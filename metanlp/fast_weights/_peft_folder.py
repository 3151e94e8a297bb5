"""One task's LoRA weights as the folder that `peft` (and servers that read PEFT adapters) load."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from metanlp.errors import Problems, UserError
from metanlp.fast_weights.lora import LoraWeights, row_name
from metanlp.weights import Weights

PREFIX = "base_model.model."
FILE = "adapter_model.safetensors"


def write_adapter(folder: Path, fast: LoraWeights, weights: Weights, base: str) -> None:
    """Write the weights of one task, `(1, *shape)`; `base` is the name or folder of the model they belong to."""
    from peft import LoraConfig

    config = LoraConfig(
        r=fast.options.r,
        lora_alpha=fast.options.alpha,  # type: ignore[arg-type]
        target_modules=sorted(fast.targets),
        trainable_token_indices=_indices(fast) or None,
        base_model_name_or_path=base,
        task_type=fast.problem,
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    names = {name: [row_name(place) for place in rows.places] for name, rows in fast.rows.items()}
    tensors = {
        f"{PREFIX}{each}": weight[0].detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, weight in weights.items()
        for each in names.get(name, [name])
    }
    save_file(tensors, folder / FILE, metadata={"format": "pt"})


def read_adapter(folder: Path, fast: LoraWeights) -> Weights:
    """The weights of one task, `(1, *shape)`. UserError where the folder is not an adapter of just this model."""
    path = folder / FILE
    try:
        found = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(path).items()}
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        scale = config["lora_alpha"] / config["r"]
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not readable as an adapter: {error}") from None
    problems = Problems(f"adapter {folder}")
    if scale != fast.options.alpha / fast.options.r:
        problems.add(f"its alpha / r is {scale:g}; the model wants {fast.options.alpha / fast.options.r:g}")
    if (config.get("trainable_token_indices") or {}) != _indices(fast):
        problems.add(
            f"its rows of new pieces are {config.get('trainable_token_indices')}; the model's are {_indices(fast)}"
        )
    copies = {row_name(place) for rows in fast.rows.values() for place in rows.places}
    for name in sorted(set(found) - set(fast.parameters) - copies):
        problems.add(f"{name} has no place in this model")
    for name, parameter in fast.parameters.items():
        if name not in found:
            problems.add(f"{name} is missing")
        elif found[name].shape != parameter.shape:
            problems.add(f"{name} is {tuple(found[name].shape)}; the model wants {tuple(parameter.shape)}")
        elif not torch.isfinite(found[name]).all():
            problems.add(f"{name} holds NaN or infinity")
    problems.raise_if_any()
    return {
        name: found[name].to(parameter.device, parameter.dtype).unsqueeze(0)
        for name, parameter in fast.parameters.items()
    }


def _indices(fast: LoraWeights) -> dict[str, list[int]]:
    """Which rows are the adapter's own, by the modules that PEFT finds them in."""
    return {place: rows.new.tolist() for rows in fast.rows.values() for place in rows.places}
