"""Things that tests make by hand: tiny models, random batches, a collection of ciphers, a recipe."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metanlp.batch import IGNORED, Batch

VOCABULARY = 40
LETTERS = "abcdefgh"


def make_t5(dropout: float = 0.0, seed: int = 0, dtype: torch.dtype = torch.float64, layers: int = 1) -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=2,
        dropout_rate=dropout,
        decoder_start_token_id=0,
    )
    model = T5ForConditionalGeneration(config).to(dtype)
    with torch.no_grad():
        for weight in model.parameters():  # larger than T5's own start: losses that differ in many digits
            weight.add_(torch.randn_like(weight) * 0.1)
    return model


def make_batch(tasks: int = 1, rows: int = 2, seed: int = 0, dropout_seed: int | None = None, length: int = 5) -> Batch:
    """Random pieces; sources and targets of different lengths, so that padding is there."""
    generator = torch.Generator().manual_seed(seed + 1000)

    def draw(high: int, *shape: int) -> Tensor:
        return torch.randint(3, high, shape, generator=generator)

    count = tasks * rows
    ids, labels = draw(VOCABULARY, count, length), draw(VOCABULARY, count, length + 1)
    source = torch.randint(2, length + 1, (count, 1), generator=generator)
    target = torch.randint(2, length + 2, (count, 1), generator=generator)
    mask = (torch.arange(length) < source).long()
    labels = labels.masked_fill(torch.arange(length + 1) >= target, IGNORED)
    shifted = torch.cat([labels.new_zeros(count, 1), labels[:, :-1]], 1)
    inputs = {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "decoder_input_ids": shifted.masked_fill(shifted == IGNORED, 0),
    }
    return Batch(inputs, labels, tasks, dropout_seed)


def task_part(batch: Batch, index: int) -> Batch:
    """One task's rows of a batch, as a batch of its own."""
    rows = batch.labels.shape[0] // batch.tasks
    part = slice(index * rows, (index + 1) * rows)
    return Batch({name: tensor[part] for name, tensor in batch.inputs.items()}, batch.labels[part], 1, batch.seed)


def plain_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The model's own loss on the rows of one task: Hugging Face computes it, and makes the decoder's inputs."""
    inputs = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    return model(**inputs, labels=batch.labels).loss


def cipher(key: int, word: str) -> str:
    return "".join(LETTERS[(LETTERS.index(letter) + key) % len(LETTERS)] for letter in word)


def write_collection(folder: Path) -> Path:
    """Task `c<key>` writes every letter `key` places further on."""
    names = {"train": [1, 2, 3, 5, 6, 7], "valid": [4, 8], "test": [9, 10]}
    for split, keys in names.items():
        (folder / split).mkdir(parents=True)
        for key in keys:
            draw = random.Random(key)
            words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 5))) + f" {key}" for _ in range(40)]
            lines = [f"{word}\t{cipher(key, word.split()[0])}" for word in words]
            (folder / split / f"c{key}.tsv").write_text("source\ttarget\n" + "".join(f"{line}\n" for line in lines))
    facts = "family: translation\nlicence: CC0\nsource: made by a test\nparallel: false\n"
    (folder / "collection.yaml").write_text(facts)
    return folder


def plain_recipe(collection: Path) -> dict[str, Any]:
    """Plain data of a recipe: full weights, one FOMAML stage of 4 steps."""
    return {
        "task": {"kind": "translation", "collection": str(collection)},
        "backbone": {
            "kind": "tiny",
            "pieces": "char",
            "vocabulary": 300,
            "width": 16,
            "heads": 2,
            "feed_forward": 16,
            "encoder_layers": 1,
            "decoder_layers": 1,
        },
        "fast_weights": "full",
        "trackers": [],
        "stages": {
            "meta": {
                "algorithm": {"kind": "fomaml", "inner_steps": 2},
                "train": {"steps": 4, "meta_batch": 4, "support": 4, "query": 2, "log_every": 1, "save_every": 1},
            }
        },
        "adapting": {"steps": 4, "learning_rate": 1e-2},
        "evaluation": {"shots": [0, 4], "queries": 4, "max_new_tokens": 8},
    }


def trained_by_kind(home: Path, change: Callable[[dict[str, Any], str], None]) -> Callable[[str], Path]:
    """Runs of a plain recipe, each trained when it is first asked for; `change` makes the recipe that of a kind."""
    from metanlp.config.load import build_recipe
    from metanlp.training import meta_train

    ciphers = write_collection(home / "ciphers")

    @cache
    def run(kind: str) -> Path:
        raw = plain_recipe(ciphers)
        change(raw, kind)
        return meta_train(build_recipe(raw), home / kind)

    return run


def task_of(weights: dict, index: int) -> dict:
    """The weights of one task as a stack of one."""
    return {name: tensor[index : index + 1] for name, tensor in weights.items()}


def stacked(stacks: list[dict]) -> dict:
    """Stacks side by side: their task axes joined."""
    return {name: torch.cat([weights[name] for weights in stacks]) for name in stacks[0]}
