"""What this machine reaches at most, the clocks and the memory to measure by, and where numbers are kept."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Now = Callable[[], float]  # seconds
FEWEST = 3  # blocks


def keep(path: Path, told: Mapping[str, Any]) -> None:
    """Writes numbers, with the command that found them, the versions and the machine."""
    from metanlp.environment import environment_now

    facts = {"command": " ".join(sys.argv), "environment": environment_now()}
    path.write_text(json.dumps({**facts, **told}, indent=1) + "\n", encoding="utf-8")


def measure_time(sides: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """CPU seconds of each side in each block; a block runs every side once, and blocks follow for `seconds`."""
    names = list(sides)
    spent: dict[str, list[float]] = {name: [] for name in names}
    block, begun = 0, time.process_time()
    while names and (block < FEWEST or time.process_time() - begun < seconds):
        first = block % len(names)
        for name in [*names[first:], *names[:first]]:
            start = time.process_time()
            sides[name]()
            spent[name].append(time.process_time() - start)
        block += 1
    return spent


def measure_memory(run: Callable[[], Any]) -> dict[str, float]:
    """MB that `run` adds at its peak to what is there before it, and MB there, after a first time; free memory not counted."""
    run()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # metanlp may keep what is free
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    run()
    return {"peak_MB": memory("VmHWM") - before, "before_MB": before}


def memory(field: str) -> float:
    """MB of this process, as /proc knows it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("this benchmark reads /proc/self/status and needs Linux")


def wall_clock() -> float:
    """By the clock on the wall, once a GPU has done what it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def fair_clock() -> Now:
    """The wall's where a GPU works, else this process's CPU time, of which other processes take nothing."""
    import torch

    return wall_clock if torch.cuda.is_available() else time.process_time


def ceilings(now: Now = wall_clock) -> dict[str, float]:
    """GFLOP a second in each precision that a recipe may ask for."""
    import torch

    return {"fp32": ceiling(torch.float32, now), "bf16": ceiling(torch.bfloat16, now)}


def ceiling(dtype: Any, now: Now) -> float:
    """Of a product of two matrices of 2,048 squared: the best of several."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    one, other = (torch.randn(2048, 2048, dtype=torch.float32).to(device, dtype) for _ in range(2))

    def seconds() -> float:
        begun = now()
        torch.matmul(one, other)
        return now() - begun

    return 2 * 2048**3 / min(seconds() for _ in range(12)) / 1e9
