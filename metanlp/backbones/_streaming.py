"""One reply piece by piece, each computed when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How the next piece is chosen: the likeliest (temperature 0), or drawn as a function of the seed and its place."""

    temperature: float
    top_p: float
    seed: int

    def choose(self, logits: Tensor, place: int) -> int:
        """A piece by its logits, `(vocabulary,)`."""
        if self.temperature == 0:
            return int(logits.argmax())
        likely, pieces = (logits.double().cpu() / self.temperature).softmax(-1).sort(descending=True)
        likely = likely.masked_fill(likely.cumsum(-1) - likely >= self.top_p, 0.0)  # the first one always stays
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + place) % 2**63)
        return int(pieces[torch.multinomial(likely, 1, generator=generator)])


@dataclass(frozen=True)
class Drawn:
    """For `generate`: of a row's scores only the piece that `sampling` has chosen stays. Rows have `read` pieces each."""

    sampling: Sampling
    read: int

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`(rows, pieces so far)`, `(rows, vocabulary)` -> `(rows, vocabulary)`."""
        place = input_ids.shape[1] - self.read
        chosen = torch.tensor([[self.sampling.choose(row, place)] for row in scores], device=scores.device)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)


def next_pieces(model: Any, read: Sequence[int], sampling: Sampling, most: int) -> Iterator[int]:
    """At most `most` pieces that go on from those that were `read`. Marks are pieces as any other."""
    cache, new = None, torch.tensor([list(read)], device=model.device)
    for place in range(most):
        logits, cache = _step(model, new, cache)
        piece = sampling.choose(logits, place)
        yield piece
        new = torch.tensor([[piece]], device=model.device)


@torch.no_grad()
def _step(model: Any, new: Tensor, cache: Any) -> tuple[Tensor, Any]:
    """The logits after some new pieces, and what later pieces need to know of them."""
    out = model(input_ids=new, cache=cache, use_cache=True, logits_to_keep=1)
    return out.logits[0, -1], out.cache
