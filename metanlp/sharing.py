"""An Adaptation travels: found by name, by folder or on the Hugging Face Hub, and pushed to either of the latter."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metanlp.adaptation import existing_folder, read_facts
from metanlp.checkpoint import CARD, MANIFEST, commit
from metanlp.errors import UserError, first_line
from metanlp.run import Run

ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
UNSAFE = ["*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.py"]  # what could run code when it is read
CARD_AS_PUSHED = "README.md.sha256"  # tells a card that somebody has edited where it was pushed to


@dataclass(frozen=True)
class Pushed:
    folder: Path
    address: str | None  # on the Hub
    card: Path  # the run's own, of which every push takes a copy
    edited: bool  # whether there was another where it went, which stayed


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

    Weights, facts and card go; the examples never do. What was pushed there before is replaced, but for a card that somebody
    has edited there. UserError where the folder is in use by something else, or the Hub takes nothing; what would have gone
    there is then in a folder that the error names.
    """
    source = existing_folder(run, name)
    read_facts(source)
    if not ON_THE_HUB.fullmatch(to) or Path(to).is_dir():
        folder = Path(to).expanduser()
        edited = _prepare(source, folder, _edited_card(folder))
        return Pushed(folder, None, source / CARD, edited)
    folder = run.place / "published" / name
    edited = _prepare(source, folder, _edited_card_of_the_hub(to) or _edited_card(folder))
    return Pushed(folder, _uploaded(folder, to), source / CARD, edited)


def _prepare(source: Path, folder: Path, card: str | None) -> bool:
    """Make `folder` a copy that says nothing of this machine, with `card` where there is one; returns whether there is."""
    _require_its_own(folder)

    def write(place: Path) -> None:
        shutil.copytree(source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        for path in place.rglob("*.json"):
            _forget_places(path)
        (place / CARD_AS_PUSHED).write_text(f"{_digest(place / CARD)}  {CARD}\n", encoding="utf-8")
        if card is not None:
            (place / CARD).write_text(card, encoding="utf-8")

    commit(folder, write)
    return card is not None


def _require_its_own(folder: Path) -> None:
    """UserError where a folder holds anything but what was pushed there before: pushing replaces all of it."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / CARD_AS_PUSHED).is_file():
        raise UserError(
            f"{folder} has something else in it than a push has left; choose a folder of its own for the adaptation, or "
            "remove what is there"
        )
    read_facts(folder)
    named = {*json.loads((folder / MANIFEST).read_text(encoding="utf-8")), MANIFEST, CARD}
    others = sorted({path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - named)
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        raise UserError(
            f"{folder} has other files beside its adaptation ({others[0]}{more}), and pushing replaces the folder; choose "
            "another, and copy from there what you need"
        )


def _edited_card(folder: Path) -> str | None:
    """The card in a folder that was pushed to, where it is no longer what was pushed."""
    card, record = folder / CARD, folder / CARD_AS_PUSHED
    if not card.is_file() or not record.is_file():
        return None
    edited = _digest(card) != record.read_text(encoding="utf-8").split()[0]
    return card.read_text(encoding="utf-8") if edited else None


def _digest(card: Path) -> str:
    return hashlib.sha256(card.read_bytes()).hexdigest()


def _edited_card_of_the_hub(name: str) -> str | None:
    """The same of what was pushed to the Hub; None also where nothing can be read there, which uploading then tells."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        return _edited_card(Path(snapshot_download(name, allow_patterns=[CARD, CARD_AS_PUSHED])))
    except (OSError, HTTPError, ValueError):
        return None


def _forget_places(path: Path) -> None:
    """Clear the folders of this machine that transformers and PEFT note in their JSON: where a model was loaded from."""

    def cleared(value: Any) -> Any:
        if isinstance(value, list):
            return [cleared(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {
            key: None if key.endswith("name_or_path") and _is_place(each) else cleared(each)
            for key, each in value.items()
        }

    known = json.loads(path.read_text(encoding="utf-8"))
    if (fit := cleared(known)) != known:
        path.write_text(json.dumps(fit, indent=2, ensure_ascii=False), encoding="utf-8")


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and (Path(value).is_absolute() or Path(value).exists())


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
