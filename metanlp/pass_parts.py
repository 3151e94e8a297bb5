"""What a pass has besides its model: dropout that a seed fixes, and the loss of every piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from metanlp.batch import IGNORED

LOGITS_AT_ONCE = 2**26  # numbers; 256 MiB in float32


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Of every piece, `(rows, length)`, in float32 at least. `logits` are `(rows, length, vocabulary)`.

    Where they are many, chunks of rows are computed one after another, and again for the gradient, so that only the
    logits themselves fill memory and not their casts and softmaxes too.
    """

    def loss(some: Tensor, theirs: Tensor) -> Tensor:
        exact = some.to(torch.promote_types(some.dtype, torch.float32)).flatten(0, 1)
        options: dict[str, Any] = {"ignore_index": IGNORED, "reduction": "none", "label_smoothing": smoothing}
        return F.cross_entropy(exact, theirs.flatten(), **options).view_as(theirs)

    if logits.numel() <= LOGITS_AT_ONCE:
        return loss(logits, labels)
    rows = max(1, LOGITS_AT_ONCE // logits[0].numel())
    chunks = zip(logits.split(rows), labels.split(rows), strict=True)
    return torch.cat([checkpoint(loss, *chunk, use_reentrant=False) for chunk in chunks])


@contextmanager
def dropout_seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Dropout as a function of the seed alone; the generators continue afterwards as if nothing had been drawn."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        # torch.manual_seed looks for every kind of accelerator, which takes as long as a small layer
        seed_all = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
        seed_all(seed % 2**63)
        yield
