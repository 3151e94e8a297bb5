from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from metanlp.config.yaml import write_yaml

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make({"train/zu": [("one", "kunye"), ...]}, parallel=True): a folder; rows may have id and pool."""

    def build(tasks: Mapping[str, Sequence[Sequence[str]]], /, name: str = "collection", **facts: Any) -> Path:
        folder = tmp_path / name
        for task, rows in tasks.items():
            path = folder / f"{task}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = ("source", "target", "id", "pool")[: max([2, *map(len, rows)])]
            path.write_text("\n".join("\t".join(row) for row in (columns, *rows)) + "\n", encoding="utf-8")
        known = {"family": "translation", "licence": "CC0", "source": "made for a test", "parallel": False}
        folder.mkdir(exist_ok=True)
        write_yaml(folder / "collection.yaml", known | facts)
        return folder

    return build


@pytest.fixture
def make_dialogues(tmp_path: Path) -> Make:
    """make_dialogues({"train/ann": [{"dialogue": ..., "history": [...], "reply": ...}, ...]}): a folder."""

    def build(tasks: Mapping[str, Sequence[Mapping[str, Any]]], /, name: str = "dialogues", **facts: Any) -> Path:
        folder = tmp_path / name
        for task, rows in tasks.items():
            path = folder / f"{task}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        known = {"family": "dialogue", "licence": "CC0", "source": "made for a test", "parallel": False}
        write_yaml(folder / "collection.yaml", known | facts)
        return folder

    return build
