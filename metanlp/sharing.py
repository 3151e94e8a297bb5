"""An Adaptation travels: found by name, by folder or on the Hugging Face Hub, and pushed to either of the latter."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from metanlp.adaptation import FACTS, existing_folder, read_facts
from metanlp.card import base_on_the_hub
from metanlp.checkpoint import MANIFEST, commit
from metanlp.errors import UserError, first_line
from metanlp.run import Run

ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
UNSAFE = ["*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.py"]  # what could run code when it is read
ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Pushed:
    folder: Path
    address: str | None  # on the Hub


def find_adaptation(run: Run, where: str | Path) -> Path:
    """The folder of an Adaptation: of a name in the run, of that folder itself, or of a name on the Hub, downloaded.

    A name has no `/` in it; `user/name` is a folder where there is one, and else on the Hub. UserError where nothing is
    found.
    """
    if isinstance(where, str) and "/" not in where and os.sep not in where:
        return existing_folder(run, where)
    folder = Path(where).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(where, Path) or not ON_THE_HUB.fullmatch(where):
        raise UserError(
            f"there is no folder {where}; give the name of an adaptation of {run.place}, a folder or user/name"
        )
    return _downloaded(where)


def push_adaptation(run: Run, name: str, to: str) -> Pushed:
    """Copy an Adaptation of the run into a folder, or to `user/name` on the Hub, where what is new is private.

    Weights, facts and card go; the examples never do. UserError where the folder is in use by something else, or the Hub
    takes nothing; what would have gone there is then in a folder that the error names.
    """
    source = existing_folder(run, name)
    read_facts(source)
    if not ON_THE_HUB.fullmatch(to) or Path(to).is_dir():
        folder = Path(to).expanduser()
        if folder.exists() and not (folder / FACTS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} has something else in it; choose a folder of its own for the adaptation")
        return Pushed(_prepared(run, source, folder), None)
    folder = _prepared(run, source, run.place / "published" / name)
    return Pushed(folder, _uploaded(folder, to))


def _prepared(run: Run, source: Path, folder: Path) -> Path:
    """A copy that says nothing of this machine."""

    def write(place: Path) -> None:
        shutil.copytree(source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        if (place / ADAPTER).is_file() and base_on_the_hub(run) is None:
            config = json.loads((place / ADAPTER).read_text(encoding="utf-8"))
            config["base_model_name_or_path"] = None
            (place / ADAPTER).write_text(json.dumps(config, indent=2), encoding="utf-8")

    return commit(folder, write)


def _uploaded(folder: Path, name: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # of whichever library it speaks HTTP with

    try:
        hub = HfApi()
        address = str(hub.create_repo(name, private=True, exist_ok=True))
        hub.upload_folder(repo_id=name, folder_path=folder, commit_message=f"{folder.name}, adapted with metanlp")
    except (OSError, HTTPError, ValueError) as error:
        raise UserError(
            f"nothing went to the Hub ({first_line(error)}); wrote {folder}, push it later with the same command, or with "
            f"`hf upload {name} {folder}`"
        ) from None
    return address


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        return Path(snapshot_download(name, ignore_patterns=UNSAFE))
    except (OSError, HTTPError, ValueError) as error:
        raise UserError(
            f"there is no folder {name}, and the Hub gives no such adaptation: {first_line(error)}"
        ) from None
