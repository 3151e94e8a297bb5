"""A person for use elsewhere: an ordinary PEFT adapter folder, with their lines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from metanlp.chat.people import ADAPTER, LINES, Person
from metanlp.checkpoint import CARD, MANIFEST, commit
from metanlp.errors import UserError


def export_person(person: Person, folder: Path) -> Path:
    """Write adapter and lines to `folder`, which is new, empty, or an earlier export; returns it. UserError elsewhere."""
    if not person.adapter:
        raise UserError(f"{person.name} has no adapter yet; teach them some lines first")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.is_file() or (there and LINES not in there) or there - _exported(folder):
        raise UserError(f"{folder} has something else in it than an export; choose a folder of its own")

    def write(place: Path) -> None:
        shutil.copytree(person.folder / ADAPTER, place, dirs_exist_ok=True)
        shutil.copy(person.folder / LINES, place / LINES)

    return commit(folder, write)


def _exported(folder: Path) -> set[str]:
    """What an earlier export has written there, by its manifest."""
    try:
        names = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or it is of something else
        return set()
    return {MANIFEST, CARD, *(Path(str(name)).parts[0] for name in names)}
