"""Which files of a collection hold which tasks, and whether they have changed."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from metanlp.data.readers import partner, task_name
from metanlp.errors import Problems

SPLITS = ("train", "valid", "test")
Files = dict[str, dict[str, Path]]  # split -> task name -> file, in the order of the names

_VERSION = 2  # of the readers and of the cache; a new number makes every cache anew
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def task_files(folder: Path, problems: Problems) -> Files:
    """The tasks of every split that the collection has; what does not belong there goes to `problems`."""
    for other in sorted(folder.iterdir()):
        if other.is_dir() and other.name not in SPLITS and not other.name.startswith((".", "_")):
            problems.add(f"{other.name}/ is no split; the folders of a collection are {', '.join(SPLITS)}")
    found = {split: _split_files(folder / split, problems) for split in SPLITS if (folder / split).is_dir()}
    if not any(found.values()):
        problems.add(f"there are no tasks; put one file a task (NAME.tsv) into the folders {', '.join(SPLITS)}")
    homes: dict[str, str] = {}
    for split, tasks in found.items():
        for name in tasks:
            if name in homes:
                problems.add(f"task {name!r} is in {homes[name]} and in {split}; a task belongs to one split")
            homes.setdefault(name, split)
    return found


def _split_files(folder: Path, problems: Problems) -> dict[str, Path]:
    tasks: dict[str, Path] = {}
    with os.scandir(folder) as found:  # of many thousand files, paths take longer to sort than names
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path, place = folder / entry.name, f"{folder.name}/{entry.name}"
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue  # what desktops and editors leave behind
        name = task_name(path)
        other = partner(path)
        if name is None or not entry.is_file():
            problems.add(f"{place} is no task; tasks are .tsv, .jsonl, .parquet and pairs .source.txt, .target.txt")
        elif other is not None and not other.exists():
            problems.add(f"{place} has no partner {other.name}")
        elif other is not None and path.name.endswith(".target.txt"):
            continue  # its partner stands for the pair
        elif not _NAME.fullmatch(name):
            problems.add(f"{place}: a task name is made of the letters A-Z and a-z, digits, `.`, `_` and `-`")
        elif name in tasks:
            problems.add(f"task {name!r} has two files, {folder.name}/{tasks[name].name} and {place}; keep one")
        else:
            tasks[name] = path
    return dict(sorted(tasks.items()))


def fingerprint(files: Files, form: str) -> str:
    """16 hexadecimal digits that change with any file's name, size or time, and with how they are read."""
    digest = hashlib.blake2b(f"{_VERSION} {form}".encode(), digest_size=8)
    for split, tasks in files.items():
        for name, path in tasks.items():
            digest.update(f"\n{split}/{name}".encode())
            for file in (path, partner(path)):
                if file is not None:
                    stat = file.stat()
                    digest.update(f"\t{file.name} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()
