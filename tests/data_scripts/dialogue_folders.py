"""An independent reader of collections of dialogues, and what each of them must be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from metanlp.data.collection import TaskCollection
from metanlp.data.leaks import find_leaks


def found(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """An independent reader: split -> person -> rows."""
    return {
        split: {
            path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for path in sorted((folder / split).glob("*.jsonl"))
        }
        for split in ("train", "valid", "test")
    }


def check(folder: Path) -> TaskCollection:
    """What every collection of dialogues must be."""
    collection = TaskCollection.open(folder, family="dialogue")
    assert collection.rejected == {}
    assert find_leaks(collection) == []
    homes: dict[str, str] = {}
    for split, tasks in found(folder).items():
        for rows in tasks.values():
            for row in rows:
                assert homes.setdefault(row["dialogue"], split) == split
    return collection
