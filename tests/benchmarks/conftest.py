"""Benchmarks are scripts: their folders are what they import from."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
for folder in (BENCHMARKS, BENCHMARKS / "inner_loop"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
