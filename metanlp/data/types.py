"""The nouns of the data layer. Text and numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """One source text and one target text (classification: text and label; dialogue: history and reply)."""

    source: str
    target: str
    id: str = ""  # the same sentence has the same id in every task of a multi-parallel collection
    pool: str = ""  # "support", "query", or "" where either is fine
    group: str = ""  # what belongs together, as a dialogue: never learnt from and judged on in one episode


@dataclass(frozen=True, slots=True)
class Task:
    """One language pair, one person, one label set. `examples` may be lazy: it is a sequence, not a list."""

    name: str
    examples: Sequence[Example]
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Episode:
    """A task with examples to learn from (support) and others to be judged on (query)."""

    task: str
    info: Mapping[str, Any]
    support: Sequence[Example]
    query: Sequence[Example]
    index: int  # draws made for this episode (order of batches, dropout) are functions of it and the seed


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads and should write for one example, languages as the tokenizer names them.

    A dialogue is also there turn by turn, for models that know a chat's form: the oldest turn first, the last one by whom
    `output` answers, and the speakers in turns. `system` is what such a model reads before all of it.
    """

    input: str
    output: str = ""
    source_language: str | None = None
    target_language: str | None = None
    turns: tuple[str, ...] = ()
    system: str = ""
