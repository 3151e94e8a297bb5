"""People's adapters in memory: those asked for last stay, all others are on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from metanlp.weights import Weights


@dataclass(frozen=True)
class Key:
    """Whose adapter, of which content, for which model: an adapter is never found under less than all three."""

    person: str
    adapter: str
    base: str


class Adapters:
    """At most `most` adapters of at most `most_bytes` together; the one asked for last stays, however large."""

    def __init__(self, most: int = 64, most_bytes: int = 2**30) -> None:
        self.most, self.most_bytes = most, most_bytes
        self._kept: OrderedDict[Key, Weights] = OrderedDict()  # the one asked for last stands last
        self._lock = Lock()

    def get(self, key: Key, load: Callable[[], Weights]) -> Weights:
        """The weights of `key`, from memory or from `load`."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = load()
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and (len(self._kept) > self.most or self.bytes > self.most_bytes):
                self._kept.popitem(last=False)
            return self._kept[key]

    def forget(self, person: str) -> int:
        """Drop all of a person's; returns how many there were."""
        with self._lock:
            theirs = [key for key in self._kept if key.person == person]
            for key in theirs:
                del self._kept[key]
        return len(theirs)

    @property
    def bytes(self) -> int:
        """What the kept ones take."""
        return sum(each.numel() * each.element_size() for weights in self._kept.values() for each in weights.values())

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Key) -> bool:
        return key in self._kept
