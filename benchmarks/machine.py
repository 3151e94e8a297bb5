"""What this machine reaches at most, and the clocks to measure by."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Now = Callable[[], float]  # seconds


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
