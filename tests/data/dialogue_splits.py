"""People and their dialogues, as a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from metanlp.data.collection import TaskCollection
from metanlp.data.split import TaskSplit
from metanlp.data.types import Example

Dialogues = Sequence[tuple[int, str]]  # how many replies each has, and its mark
PEOPLE: dict[str, Dialogues] = {
    "ann": [(3, ""), (1, ""), (8, ""), (2, ""), (2, ""), (5, ""), (1, "")],
    "bob": [(2, ""), (4, "")],
    "cyd": [(2, "support"), (3, ""), (2, "query"), (4, ""), (1, "support"), (3, "query")],
    "dee": [(2, ""), (2, "support"), (6, "support"), (3, "")],
}


def split_of(make: Callable[..., Path], people: dict[str, Dialogues], split: str = "train", **where: str) -> TaskSplit:
    def rows(name: str, dialogues: Dialogues) -> list[dict[str, object]]:
        return [
            {"dialogue": f"{name}-{number:03}", "history": [f"line {place}"], "reply": f"{name} {place}", "pool": mark}
            for number, (size, mark) in enumerate(dialogues)
            for place in range(size)
        ]

    path = make({f"{split}/{name}": rows(name, dialogues) for name, dialogues in people.items()}, **where)
    return TaskCollection.open(path).split(split)


def groups(examples: Sequence[Example]) -> list[str]:
    return [example.group for example in examples]
