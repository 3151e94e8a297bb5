"""A person for use elsewhere: an ordinary PEFT adapter folder, with their lines."""

from __future__ import annotations

import shutil
from pathlib import Path

from metanlp.chat.people import ADAPTER, LINES, Person
from metanlp.checkpoint import MANIFEST, commit
from metanlp.errors import UserError


def export_person(person: Person, folder: Path) -> Path:
    """Write adapter and lines to `folder`, which is new, empty, or an earlier export; returns it. UserError elsewhere."""
    if not person.adapter:
        raise UserError(f"{person.name} has no adapter yet; teach them some lines first")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.is_file() or (there and not {LINES, MANIFEST, "adapter_config.json"} <= there):
        raise UserError(f"{folder} has something else in it than an export; choose a folder of its own")

    def write(place: Path) -> None:
        shutil.copytree(person.folder / ADAPTER, place, dirs_exist_ok=True)
        shutil.copy(person.folder / LINES, place / LINES)

    return commit(folder, write)
