"""Which texts a model reads together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def batches_of(texts: Sequence[str], keys: Sequence[K], rows: int, together: bool) -> Iterator[dict[K, list[int]]]:
    """Places in `texts` by key, at most `rows` of them at a time, texts of like length with one another.

    `keys[i]` says whose weights text i needs. Where weights run `together`, those of several keys share a batch; else each
    batch has one key. Texts of nothing but white space are in no batch.
    """
    waiting: dict[K, list[int]] = {}
    for place in sorted(range(len(texts)), key=lambda place: len(texts[place])):
        if texts[place].strip():
            waiting.setdefault(keys[place], []).append(place)
    while waiting:
        chosen = list(waiting)[: rows if together else 1]
        share = rows // len(chosen)
        yield {key: waiting[key][:share] for key in chosen}
        for key in chosen:
            waiting[key] = waiting[key][share:]
        waiting = {key: places for key, places in waiting.items() if places}
