"""What a stage writes while it trains: `metrics.jsonl` always, trackers where the recipe names them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Track = Callable[[dict[str, float], int], None]


class Logbook:
    """One JSON object a line: step, passes, and what was measured. After a resume, lines past its step are dropped."""

    def __init__(self, path: Path, track: Track, prefix: str, step: int, seconds: float) -> None:
        self.path, self.track, self.prefix = path, track, prefix
        self._began = time.monotonic() - seconds
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= step]
        aside = path.with_suffix(".tmp")
        aside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        os.replace(aside, path)

    @property
    def seconds(self) -> float:
        """Time spent training this stage, over all its calls."""
        return time.monotonic() - self._began

    def write(self, step: int, passes: int, measured: Mapping[str, float]) -> None:
        line: dict[str, Any] = {"step": step, "passes": passes, "seconds": round(self.seconds, 2), **measured}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.track({f"{self.prefix}/{key}": value for key, value in measured.items()}, step)


def read_logbook(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`; empty where there is none."""
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[str]:
    """A kill may have cut the last line short: it is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [line for line in lines[:-1] if line]
