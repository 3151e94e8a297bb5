"""`metanlp serve` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(run: Path | str, people: Path, *options: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Its address and its process, at a free port; ended afterwards."""
    command = [sys.executable, "-m", "metanlp", "serve", str(run), "--people", str(people), "--device", "cpu"]
    command += ["--port", "0", "--max-new-tokens", "8", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables})
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.fullmatch(r"the chat is at (http://\S+); Ctrl-C ends it\n", said)
        assert found, said + process.stderr.read()
        yield found[1], process
    finally:
        process.terminate()
        process.communicate(timeout=30)
