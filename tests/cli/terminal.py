"""What the tests of commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from metanlp.config.yaml import read_yaml, write_yaml

SCRIPT = [str(Path(sys.executable).with_name("metanlp"))]
MODULE = [sys.executable, "-m", "metanlp"]


class Done(NamedTuple):
    code: int
    out: str
    err: str


Metanlp = Callable[..., Done]


def recipe_with(home: Path, path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    raw = read_yaml(home / "ciphers.yaml")
    change(raw)
    write_yaml(path, raw)
    return path


def pairs(home: Path, split: str, task: str) -> list[str]:
    """The rows of a task's file, each once."""
    return list(dict.fromkeys((home / "ciphers" / split / f"{task}.tsv").read_text().splitlines()[1:]))


def tasks(home: Path) -> list[tuple[str, str]]:
    """Splits and names, the training tasks first."""
    return [
        (split, path.stem) for split in ("train", "valid", "test") for path in (home / "ciphers" / split).glob("*.tsv")
    ]
