"""What each side adds to the memory of a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cases import Case
from machine import measure_memory
from sides import Sides


def memory_of(case: Case, name: str) -> dict[str, float]:
    """MB that a block adds at its peak, and MB there before it."""
    if case.kind == "full":  # task after task: a third finds what the second found
        case = case._replace(tasks=min(case.tasks, 2))
    return measure_memory(Sides(case).make(name).run)


def in_processes(case: Case, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """`memory_of` each side in a process of its own, where nothing else has been allocated before."""
    folder = str(Path(__file__).parent)
    commands = {name: [sys.executable, folder, "--memory", str(case), name] for name in names}
    outputs = {
        name: subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for name, command in commands.items()
    }
    return {name: json.loads(output.splitlines()[-1]) for name, output in outputs.items()}
