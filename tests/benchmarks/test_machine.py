"""What the benchmarks share: numbers are kept with what found them, and sides are timed in turn."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import machine
import pytest

from metanlp.environment import environment_now


def test_numbers_are_kept_with_command_and_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["data.py", "--tasks", "3"])
    machine.keep(tmp_path / "found.json", {"rows": [1]})
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == {"command": "data.py --tasks 3", "environment": environment_now(), "rows": [1]}


def test_every_block_begins_with_another_side() -> None:
    ran: list[str] = []
    spent = machine.measure_time({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 0.0)
    assert "".join(ran) == "abbaab"
    assert {name: len(seconds) for name, seconds in spent.items()} == {"a": 3, "b": 3}


def test_no_sides_take_no_time() -> None:
    assert machine.measure_time({}, 60.0) == {}
