"""An Adaptation travels: found by name, by folder or on the Hugging Face Hub, and pushed there with its card."""

from __future__ import annotations

import os
import re
from pathlib import Path

from metanlp.adaptation import existing_folder
from metanlp.errors import UserError
from metanlp.run import Run

ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
UNSAFE = ["*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.py"]  # what could run code when it is read


def find_adaptation(run: Run, where: str | Path) -> Path:
    """The folder of an Adaptation: of a name in the run, of that folder itself, or of a name on the Hub, downloaded.

    A name has no `/` in it; `user/name` is a folder where there is one, and otherwise on the Hub. UserError where nothing
    is found.
    """
    if isinstance(where, str) and "/" not in where and os.sep not in where:
        return existing_folder(run, where)
    folder = Path(where).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(where, Path) or not ON_THE_HUB.fullmatch(where):
        raise UserError(
            f"there is no folder {where} with an adaptation; give a name in {run.place}, a folder or user/name"
        )
    return _downloaded(where)


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(name, ignore_patterns=UNSAFE))
    except (OSError, HfHubHTTPError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"there is no folder {name}, and the Hub does not give an adaptation of that name: {reason}"
        ) from None
