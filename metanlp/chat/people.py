"""People on disk: a folder each, with their lines, what was learnt of them, and facts. Whole or not there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metanlp.checkpoint import MANIFEST, commit, verified
from metanlp.data.readers import read_file
from metanlp.data.row_forms import DialogueRows
from metanlp.data.rows import LIMIT
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.report.summary import counted

FACTS, LINES, ADAPTER = "person.json", "lines.jsonl", "adapter"
LONGEST_NAME = 80  # characters


@dataclass(frozen=True)
class Learnt:
    """What an adapter was made from."""

    base: str  # the weights that it belongs to (`fingerprint`)
    lines: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class Person:
    """What is known of somebody. `adapter` is a hash of their adapter's weights, "" where they have none."""

    name: str
    folder: Path
    lines: int = 0
    adapter: str = ""
    adapter_bytes: int = 0
    learnt: Learnt | None = None


@dataclass(frozen=True)
class Forgotten:
    """What was deleted of a person; as text, a sentence."""

    name: str
    folder: Path
    lines: int
    adapter_bytes: int
    in_memory: int = 0  # adapters
    messages: int = 0
    teaching: bool = False  # whether one was going on

    def __str__(self) -> str:
        parts = [counted(self.lines, "line")]
        parts += [f"an adapter of {self.adapter_bytes / 1e6:.2f} MB"] if self.adapter_bytes else []
        parts += [f"{counted(self.in_memory, 'adapter')} in memory"] if self.in_memory else []
        parts += [f"a conversation of {counted(self.messages, 'message')}"] if self.messages else []
        parts += ["the teaching that was going on"] if self.teaching else []
        return (
            f"forgot {self.name}: deleted {', '.join(parts)}, and {self.folder}; what was exported is yours to delete"
        )


class People:
    """The people in a folder. One process at a time writes to it; whoever writes last is right."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Person]:
        """Everybody, by name. Folders that hold nobody are passed over."""
        found = (self._read(path.parent) for path in self.folder.glob(f"[!.]*/{FACTS}"))
        return sorted((person for person in found if person), key=lambda person: key_of(person.name))

    def get(self, name: str) -> Person | None:
        """The person of that name, None where there is nobody. UserError for what is no name, or was damaged."""
        folder = self.folder / folder_name(name)
        if not folder.is_dir():
            return None
        person = self._read(folder)
        if person is None or not verified(folder):
            raise UserError(
                f"{folder} is incomplete or was altered since it was saved; remove it, and teach {tidy(name)} anew"
            )
        return person

    def lines(self, person: Person) -> list[Example]:
        """What the person was taught, in the order of teaching."""
        if not person.lines:
            return []
        examples, rejected = read_file(person.folder / LINES, LIMIT, DialogueRows)
        if rejected:
            raise UserError(f"{person.folder / LINES}:{rejected[0].line}: {rejected[0].reason}: {rejected[0].text}")
        return examples

    def keep(
        self, name: str, lines: Sequence[Example], learnt: Learnt | None = None, adapter: Path | None = None
    ) -> Person:
        """Write a person anew: name, lines, and a copy of the folder `adapter`; without one, theirs stays, with its facts."""
        before = self.get(name)
        shown = before.name if before else tidy(name)
        folder = self.folder / folder_name(name)

        def write(aside: Path) -> None:
            known = before.learnt if before and adapter is None else learnt
            if (made := adapter or folder / ADAPTER).is_dir():
                shutil.copytree(made, aside / ADAPTER)
            (aside / LINES).write_text("".join(map(_row, lines)), encoding="utf-8", newline="\n")
            facts = {"name": shown, "lines": len(lines), "learnt": asdict(known) if known else None}
            (aside / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")

        commit(folder, write)
        person = self.get(name)
        assert person is not None
        return person

    def forget(self, name: str) -> Person:
        """Delete a person; returns what there was. UserError where there is nobody of that name."""
        folder = self.folder / folder_name(name)
        person = self._read(folder) or (Person(tidy(name), folder) if folder.is_dir() else None)
        if person is None:
            raise UserError(f"there is nobody called {tidy(name)!r} in {self.folder}")
        for path in [folder, *self.folder.glob(f".{folder.name}.*")]:  # what a killed process left aside, too
            shutil.rmtree(path)
        return person

    def _read(self, folder: Path) -> Person | None:
        try:
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            learnt = Learnt(**facts["learnt"]) if facts["learnt"] else None
            hashes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            weights = f"{ADAPTER}/adapter_model.safetensors"
            size = sum(path.stat().st_size for path in (folder / ADAPTER).glob("*"))
            return Person(facts["name"], folder, facts["lines"], hashes.get(weights, ""), size, learnt)
        except (OSError, ValueError, KeyError, TypeError):
            return None


def tidy(name: str) -> str:
    """A name as it is shown. UserError for what is none."""
    shown = " ".join(unicodedata.normalize("NFC", name).split())
    if not shown or len(shown) > LONGEST_NAME or not shown.isprintable():
        raise UserError(f"{name[:100]!r} is no name; it is of 1 to {LONGEST_NAME} characters that can be seen")
    return shown


def key_of(name: str) -> str:
    """The same for all ways of typing one person's name."""
    return unicodedata.normalize("NFC", tidy(name).casefold())


def folder_name(name: str) -> str:
    """Letters and digits of the name, for people, and a hash, so that no two people share a folder on any file system."""
    key = key_of(name)
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    letters = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40]
    return f"{letters or 'person'}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _row(example: Example) -> str:
    row = {"dialogue": example.group, "history": example.source.split("\n"), "reply": example.target}
    return json.dumps(row, ensure_ascii=False) + "\n"
