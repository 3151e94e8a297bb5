"""What a number was measured with: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any


def environment_now() -> dict[str, Any]:
    """Versions and machine, kept beside every number."""
    import torch

    packages = ("torch", "transformers", "datasets", "accelerate", "peft", "sentencepiece", "sacrebleu")
    return {
        "metanlp": version("metanlp"),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The commit of the checkout that runs, with `-dirty` where files differ from it; None outside a checkout."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        asked = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return asked.stdout.strip() or None
