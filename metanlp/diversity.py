"""How varied what was written is: distinct-n (Li et al., 2016, "A Diversity-Promoting Objective Function")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

DISTINCT = ("distinct-1", "distinct-2")
SIGNATURE = "{metric}|case:lower|words:letters and digits, signs one by one|per:word|version:1"


def distinct(metric: str, predictions: Sequence[str]) -> float:
    """Different words (distinct-1) or pairs of neighbours (distinct-2) in 100 words of all predictions together."""
    texts = [re.findall(r"\w+|[^\w\s]", text.lower()) for text in predictions]
    words = [word for text in texts for word in text]
    found: set[object] = set(words) if metric == "distinct-1" else {pair for text in texts for pair in pairwise(text)}
    return 100 * len(found) / max(1, len(words))
