"""What this machine reaches at most."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def ceiling(dtype: Any) -> float:
    """GFLOP a second of a product of two matrices of 2,048 squared: the best of several."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    one, other = (torch.randn(2048, 2048, dtype=torch.float32).to(device, dtype) for _ in range(2))

    def seconds(work: Callable[[], Any]) -> float:
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    return 2 * 2048**3 / min(seconds(lambda: one @ other) for _ in range(12)) / 1e9


def ceilings() -> dict[str, float]:
    """The same of every precision that a recipe may ask for."""
    import torch

    return {"fp32": ceiling(torch.float32), "bf16": ceiling(torch.bfloat16)}
