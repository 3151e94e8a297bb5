"""Checkpoints that are whole or not there: written aside, synced, renamed, and verified before they are believed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from metanlp.errors import UserError

MANIFEST = "manifest.json"
CARD = "README.md"  # people may edit it: no manifest names it
DAY = 24 * 60 * 60.0  # no save takes as long


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by group ("slow", "optimizer") and plain data ("step", "passes")."""

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Commit `checkpoint` as `folder/step-00000100`; older ones than the last `keep` go afterwards."""
    from safetensors.torch import save_file

    def write(place: Path) -> None:
        for group, tensors in checkpoint.tensors.items():
            ordered = {name: tensors[name].detach().contiguous().cpu() for name in sorted(tensors)}
            save_file(ordered, place / f"{group}.safetensors")
        (place / "state.json").write_text(json.dumps(checkpoint.state, indent=1, sort_keys=True))

    committed = commit(folder / f"step-{checkpoint.state['step']:08d}", write)
    for old in _by_age(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return committed


def latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint in `folder`; None where there is none. Torn and altered ones are passed over."""
    for place in reversed(_by_age(folder)):
        if verified(place):
            return _read(place)
    return None


def latest_state(folder: Path) -> dict[str, Any] | None:
    """The plain data of the newest checkpoint, without reading its weights; None where there is none."""
    found = _by_age(folder)
    return json.loads((found[-1] / "state.json").read_text(encoding="utf-8")) if found else None


def commit(target: Path, write: Callable[[Path], None]) -> Path:
    """Fill a folder beside `target` with `write`, sync it to disk with a manifest of hashes, and rename it to `target`.

    Whoever looks sees the old folder, or the new one, or (for an instant, where there was an old one) none; never a part.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(target.parent)
    aside = target.parent / f".{target.name}.{platform.node()}.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        write(aside)
        files = sorted(path for path in aside.rglob("*") if path.is_file())
        hashes = {str(path.relative_to(aside)): _sha256(path) for path in files if path.name != CARD}
        (aside / MANIFEST).write_text(json.dumps(hashes, indent=1))
        for path in [*files, aside / MANIFEST]:
            _sync(path)
        _sync(aside)
        if target.exists():
            gone = aside.with_suffix(".old")
            target.rename(gone)
            aside.rename(target)
            shutil.rmtree(gone, ignore_errors=True)
        else:
            aside.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return target


def verified(place: Path) -> bool:
    """Whether every file that the manifest names is there with the hash it had when it was committed."""
    try:
        hashes = json.loads((place / MANIFEST).read_text())
        return bool(hashes) and all(_sha256(place / name) == digest for name, digest in hashes.items())
    except (OSError, ValueError):
        return False


def require_verified(place: Path) -> None:
    """UserError unless the folder is as it was committed."""
    if not verified(place):
        raise UserError(f"{place} is incomplete or was altered since it was saved; make it again")


def _read(place: Path) -> Checkpoint:
    from safetensors.torch import load_file

    tensors = {path.stem: load_file(path) for path in place.glob("*.safetensors")}
    return Checkpoint(tensors, json.loads((place / "state.json").read_text()))


def _by_age(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8}", path.name))


def _clear_leftovers(folder: Path) -> None:
    """Remove what killed processes left behind: of this machine at once, of others (whose processes we can't see) by age."""
    for path in folder.glob(".*"):
        made = re.fullmatch(r"\..+\.(\d+)\.(?:tmp|old)", path.name)
        if made is None:
            continue
        here = path.stem.endswith(f".{platform.node()}.{made[1]}")
        try:
            nobodys = not _alive(int(made[1])) if here else time.time() - path.stat().st_mtime > DAY
        except FileNotFoundError:
            continue
        target = folder / path.name[1:].removesuffix(f".{made[1]}{path.suffix}").removesuffix(f".{platform.node()}")
        if nobodys and path.suffix == ".old" and not target.exists():
            path.rename(target)  # killed between two renames: what was there before is better than nothing
        elif nobodys:
            shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
