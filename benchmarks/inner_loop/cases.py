"""What is run: models with random weights, and tasks of random pieces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

    from metanlp.batch import Batch, EncodedEpisodes

INNER_STEPS = 5
INNER_LR = 0.1  # large enough that a gradient at the wrong weights is told from one at the right ones
SIZES: dict[str, dict[str, int]] = {
    "2M": {"vocab_size": 8000, "d_model": 128, "d_kv": 32, "d_ff": 512, "num_layers": 2, "num_heads": 4},
    "60M": {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    # the shape of SmolLM2-135M, which only reads from left to right
    "135M": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
}
FORM = re.compile(rf"(full|lora)-({'|'.join(SIZES)})-(\d+)x(\d+)x(\d+)")


class Case(NamedTuple):
    """`tasks` episodes whose batches are `rows` sentences of `length` pieces; written `full-60M-4x1x16`."""

    kind: str
    size: str
    tasks: int
    rows: int
    length: int

    @classmethod
    def read(cls, name: str) -> Case:
        """Raises ValueError where `name` is not of the form."""
        found = FORM.fullmatch(name)
        if not found:
            raise ValueError(
                f"{name} is no case; write full or lora, a size ({', '.join(SIZES)}) and tasks x sentences x pieces, "
                "as full-60M-4x1x16"
            )
        kind, size, *counts = found.groups()
        return cls(kind, size, *(int(count) for count in counts))

    def __str__(self) -> str:
        return f"{self.kind}-{self.size}-{self.tasks}x{self.rows}x{self.length}"


def make_model(size: str) -> nn.Module:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    shape: dict[str, Any] = SIZES[size]
    if "hidden_size" in shape:
        return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=True)).train()
    return T5ForConditionalGeneration(T5Config(**shape, dropout_rate=0.0, decoder_start_token_id=0)).train()


def make_tasks(case: Case) -> list[list[Batch]]:
    """Random pieces: for every task the batches of its inner steps and, last, the query."""
    import torch

    from metanlp.batch import Batch

    shape = SIZES[case.size]
    generator = torch.Generator().manual_seed(1)

    def draw() -> Tensor:
        return torch.randint(3, shape["vocab_size"], (case.rows, case.length), generator=generator)

    def batch(seed: int) -> Batch:
        ids = draw()
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "hidden_size" not in shape:
            inputs["decoder_input_ids"] = draw()
        return Batch(inputs, draw(), 1, seed)

    return [[batch(step) for step in range(INNER_STEPS + 1)] for _ in range(case.tasks)]


def stacked(tasks: Sequence[Sequence[Batch]]) -> EncodedEpisodes:
    """The episodes of all tasks, side by side."""
    import torch

    from metanlp.batch import Batch, EncodedEpisodes

    def join(batches: Sequence[Batch]) -> Batch:
        inputs = {name: torch.cat([batch.inputs[name] for batch in batches]) for name in batches[0].inputs}
        return Batch(inputs, torch.cat([batch.labels for batch in batches]), len(batches), batches[0].seed)

    *support, query = [join(batches) for batches in zip(*tasks, strict=True)]
    return EncodedEpisodes(support, query)


def loss_of(logits: Tensor, batch: Batch) -> Tensor:
    """The mean over target pieces, as plain PyTorch has it."""
    from torch.nn import functional as F

    return F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
