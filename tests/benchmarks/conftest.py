"""Benchmarks are scripts: their folder is what they import from."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parents[2] / "benchmarks" / "inner_loop")
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)
