"""What tests of the report share: a run, written down as one that has trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metanlp.config.yaml import write_yaml
from metanlp.run import Run


@pytest.fixture
def run(make_recipe: Callable[..., Any], tmp_path: Path) -> Run:
    """joint, then meta, trained on paper: only their logbooks are there."""
    raw = make_recipe().dump()
    raw["stages"] = {
        "joint": {**raw["stages"]["meta"], "algorithm": {"kind": "joint", "inner_steps": 2}},
        **raw["stages"],
    }
    raw["stages"]["meta"]["after"] = "joint"
    folder = tmp_path / "my run"
    folder.mkdir()
    write_yaml(folder / "recipe.yaml", raw)
    write_log(folder / "joint", [(1, 10, {"loss": 4.0}), (2, 20, {"loss": 2.0}), (2, 20, {"valid_loss": 3.0})])
    last = {"valid_loss": 2.5, "valid_loss_adapted": 1.0}
    write_log(folder / "meta", [(1, 50, {"loss": 1.5}), (2, 100, {"loss": 1.0}), (2, 100, last)])
    return Run.open(folder)


def write_log(folder: Path, lines: list[tuple[int, int, dict[str, float]]]) -> None:
    folder.mkdir()
    texts = [json.dumps({"step": step, "passes": passes, "seconds": 1.0, **found}) for step, passes, found in lines]
    (folder / "metrics.jsonl").write_text("".join(f"{text}\n" for text in texts))
