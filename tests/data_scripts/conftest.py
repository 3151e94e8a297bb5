"""An independent reader of task collections, and the checks that every data script must pass."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

Tasks = dict[str, dict[str, list[dict[str, str]]]]  # split -> task -> rows by column


def read_tasks(folder: Path) -> Tasks:
    tasks: Tasks = {}
    for split in ("train", "valid", "test"):
        tasks[split] = {}
        for path in sorted((folder / split).iterdir()):
            header, *lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
            columns = header.split("\t")
            rows = [line.split("\t") for line in lines]
            assert all(len(row) == len(columns) for row in rows), path
            tasks[split][path.stem] = [dict(zip(columns, row, strict=True)) for row in rows]
    return tasks


def check_tasks(tasks: Tasks, secret: tuple[str, ...] = ("source", "target", "id")) -> None:
    names = [name for split in tasks.values() for name in split]
    assert len(names) == len(set(names))
    queries = [
        row for split in ("valid", "test") for rows in tasks[split].values() for row in rows if row["pool"] == "query"
    ]
    assert queries
    for column in secret:
        asked = {row[column] for row in queries}
        trained = {row[column] for rows in tasks["train"].values() for row in rows}
        assert asked.isdisjoint(trained), column
    asked_in = {
        split: {row["id"] for rows in tasks[split].values() for row in rows if row["pool"] == "query"}
        for split in ("valid", "test")
    }
    assert asked_in["valid"].isdisjoint(asked_in["test"])
    for split, by_name in tasks.items():
        for name, rows in by_name.items():
            assert rows, name
            assert {row["pool"] for row in rows} == ({""} if split == "train" else {"support", "query"}), name
            ids = [row["id"] for row in rows]
            assert len(ids) == len(set(ids)), name


@pytest.fixture
def read() -> Callable[[Path], Tasks]:
    return read_tasks


@pytest.fixture
def check() -> Callable[..., None]:
    return check_tasks


@pytest.fixture
def shared() -> Path:
    """The folder with copies of the public data sets that METANLP_SOURCES names."""
    folder = os.environ.get("METANLP_SOURCES")
    if not folder:
        pytest.skip("METANLP_SOURCES names no folder with copies of the public data sets")
    return Path(folder)


@pytest.fixture
def counts() -> Callable[[Tasks], dict[str, tuple[int, int, int]]]:
    """Per split: tasks, rows, queries."""

    def count(tasks: Tasks) -> dict[str, tuple[int, int, int]]:
        rows = {split: [row for rows in by_name.values() for row in rows] for split, by_name in tasks.items()}
        return {
            split: (len(tasks[split]), len(rows[split]), sum(row["pool"] == "query" for row in rows[split]))
            for split in tasks
        }

    return count
