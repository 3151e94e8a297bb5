"""Kinds of runs, and the examples that each is adapted to."""

from __future__ import annotations

from makers import cipher

from metanlp.data.types import Example

KINDS = ["lora", "full", "lora on e5", "full on e5"]
WORDS = ["abc", "bad", "cafe", "dead", "beef", "fade", "gab", "hag", "egg", "face", "bag", "cab"]
EXAMPLES = [Example(f"{word} secret", cipher(3, word)) for word in WORDS]
