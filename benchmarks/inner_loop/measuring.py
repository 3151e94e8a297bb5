"""CPU time of sides in turn, and what each adds to the memory of a process of its own."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cases import Case
from sides import Side, Sides

FEWEST = 3  # blocks


def measure_time(sides: dict[str, Side], seconds: float) -> dict[str, list[float]]:
    """CPU seconds of each side in each block; a block runs every side once, and blocks follow for `seconds`."""
    names = list(sides)
    spent: dict[str, list[float]] = {name: [] for name in names}
    block, begun = 0, time.process_time()
    while block < FEWEST or time.process_time() - begun < seconds:
        first = block % len(names)
        for name in [*names[first:], *names[:first]]:
            start = time.process_time()
            sides[name].run()
            spent[name].append(time.process_time() - start)
        block += 1
    return spent


def measure_memory(case: Case, name: str) -> dict[str, float]:
    """MB that a block adds at its peak to what is there before it, and MB there, after a first block."""
    if case.kind == "full":  # task after task: a third finds what the second found
        case = case._replace(tasks=min(case.tasks, 2))
    side = Sides(case).make(name)
    side.run()
    gc.collect()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    side.run()
    return {"peak_MB": memory("VmHWM") - before, "before_MB": before}


def memory(field: str) -> float:
    """MB of this process, as /proc knows it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("this benchmark reads /proc/self/status and needs Linux")


def in_processes(case: Case, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """`measure_memory` of each side in a process of its own, where nothing else has been allocated before."""
    folder = str(Path(__file__).parent)
    commands = {name: [sys.executable, folder, "--memory", str(case), name] for name in names}
    outputs = {
        name: subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for name, command in commands.items()
    }
    return {name: json.loads(output.splitlines()[-1]) for name, output in outputs.items()}
