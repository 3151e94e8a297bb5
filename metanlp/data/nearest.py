"""Which texts are the most like another one: BM25 (Robertson and Zaragoza, 2009) over runs of three letters.

Letters rather than words, so that it serves languages that write no spaces, and forms of a word count as like it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

SATURATION, BY_LENGTH = 1.2, 0.75  # k1 and b, as is usual
RUN = 3


class Nearest:
    """Ranks `texts`."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.counts = [_runs(text) for text in texts]
        in_texts = Counter(run for counts in self.counts for run in counts)
        self.weights = {run: math.log(1 + (len(texts) - n + 0.5) / (n + 0.5)) for run, n in in_texts.items()}
        self.mean = sum(counts.total() for counts in self.counts) / max(1, len(texts)) or 1.0

    def ranked(self, text: str) -> list[int]:
        """The numbers of the texts, the most alike first; of equals the first one first."""
        asked = _runs(text)
        scores = [self._score(asked, counts) for counts in self.counts]
        return sorted(range(len(scores)), key=lambda at: (-scores[at], at))

    def _score(self, asked: Counter[str], counts: Counter[str]) -> float:
        room = SATURATION * (1 - BY_LENGTH + BY_LENGTH * counts.total() / self.mean)
        shared = asked.keys() & counts.keys()
        return sum(self.weights[run] * counts[run] * (SATURATION + 1) / (counts[run] + room) for run in sorted(shared))


def _runs(text: str) -> Counter[str]:
    words = [f" {word} " for word in text.casefold().split()]
    return Counter(word[at : at + RUN] for word in words for at in range(max(1, len(word) - RUN + 1)))
