"""A task collection: a folder of tasks in train, valid and test splits, opened without reading them into
memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from metanlp.config.options import Options, problems_of
from metanlp.config.yaml import read_yaml
from metanlp.data.arrow import ArrowRows, write_cache
from metanlp.data.files import Files, fingerprint, task_files
from metanlp.data.row_forms import form_of
from metanlp.data.rows import LIMIT, RowForm
from metanlp.data.split import TaskSplit
from metanlp.errors import Problems, UserError, did_you_mean

_DAY = 24 * 60 * 60.0  # no build takes as long; what is left of an older one belongs to nobody


class CollectionFacts(Options):
    """What collection.yaml says."""

    family: str = Field(description="the task family that reads it: translation, dialogue or classification")
    licence: str = Field(description="under which licence the texts may be used")
    source: str = Field(description="what it is and where it came from, with an address")
    attribution: str = Field("", description="whom the licence asks to be named")
    parallel: bool = Field(
        strict=True, description="true: the same sentences run through many tasks, and `id` tells which are the same"
    )
    made_by: str = Field("", description="the command that made it")
    repeats: list[Literal["source", "target"]] = Field(
        [],
        description="sides whose texts recur between tasks by nature (everyday replies), which is no leak",
    )
    tasks: dict[str, dict[str, Any]] = Field({}, description="facts about tasks, by name")


class TaskCollection:
    """`facts` is collection.yaml; `rejected` counts by reason the rows listed in the file `rejected_path`;
    `digest` is a hash of every example in it, to store beside results."""

    def __init__(self, path: Path, facts: CollectionFacts, files: Files, cache: Path) -> None:
        index = json.loads((cache / "index.json").read_text(encoding="utf-8"))
        self.path, self.facts, self.files, self.cache = path, facts, files, cache
        self.rejected: dict[str, int] = index["rejected"]
        self.rejected_path = cache / "rejected.jsonl"
        self.digest: str = index["digest"]
        self.splits = {name: self._open_split(name, list(tasks)) for name, tasks in files.items()}

    @classmethod
    def open(cls, path: Path | str, family: str | None = None, made_by: str = "", limit: int = LIMIT) -> TaskCollection:
        """The collection in that folder; reads all its files the first time and after they changed.

        `family` is what the reader expects, `made_by` the command to name where the folder does not exist,
        `limit` how many characters a text may have (rows with more are rejected). Raises
        UserError with every problem of the folder, of collection.yaml, or of files that cannot be read at
        all.
        """
        path = Path(path)
        if not path.is_dir():
            make = f"; make it with `{made_by}`" if made_by else ""
            raise UserError(f"there is no task collection {path}{make}")
        facts = _read_facts(path / "collection.yaml")
        problems = Problems(f"collection {path}")
        if family is not None and facts.family != family:
            problems.add(f"collection.yaml says family: {facts.family}; it was to be read as {family}")
        files = task_files(path, problems)
        names = [name for tasks in files.values() for name in tasks]
        for name in facts.tasks.keys() - set(names):
            problems.add(f"collection.yaml tells about a task {name!r} that has no file{did_you_mean(name, names)}")
        problems.raise_if_any()
        return cls(path, facts, files, _cached(path, files, limit, form_of(facts.family)))

    def split(self, name: str) -> TaskSplit:
        if name not in self.splits:
            found = f"{did_you_mean(name, self.splits)}; it has {', '.join(self.splits)}"
            raise UserError(f"collection {self.path} has no split {name!r}{found}")
        return self.splits[name]

    def __repr__(self) -> str:
        return f"<{self.path}: {', '.join(map(repr, self.splits.values()))}>"

    def _open_split(self, split: str, names: list[str]) -> TaskSplit:
        counts = np.load(self.cache / f"{split}.counts.npy")  # (tasks, 4)
        sizes = np.stack([counts[:, :3].sum(axis=1), counts[:, 3]], axis=1)  # (tasks, 2) rows and groups
        starts = np.cumsum(sizes, axis=0) - sizes
        return TaskSplit(split, names, counts, starts, ArrowRows(self.cache, split), self.facts.tasks)


def _read_facts(path: Path) -> CollectionFacts:
    if not path.is_file():
        needed = [name for name, field in CollectionFacts.model_fields.items() if field.is_required()]
        raise UserError(f"{path} is missing; it should say {', '.join(needed)}")
    raw = read_yaml(path)
    if not isinstance(raw, Mapping):
        raise UserError(f"{path}: expected lines `key: value` for {', '.join(CollectionFacts.model_fields)}")
    try:
        return CollectionFacts.model_validate(raw)
    except ValidationError as error:
        problems = Problems(str(path))
        for problem in problems_of(error, CollectionFacts, "", "a collection"):
            problems.add(problem)
        problems.raise_if_any()
        raise


def _cached(path: Path, files: Files, limit: int, form: type[RowForm]) -> Path:
    """The cache folder of these files; made if need be, beside them or, where that is read-only, in the
    user's cache.
    """
    name = f"{fingerprint(files, form.__name__)}-{limit}"
    users = Path(os.environ["XDG_CACHE_HOME"]) if os.environ.get("XDG_CACHE_HOME") else Path.home() / ".cache"
    home = hashlib.blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()
    places = [path / ".arrow", users / "metanlp" / "collections" / home]
    for place in places:
        if (place / name / "index.json").is_file():
            return place / name
    refused = ""
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix="building-", dir=place))
        except OSError as error:
            refused = f"{place}: {error.strerror}"
            continue
        return _build(fresh, place / name, path, files, limit, form)
    raise UserError(f"collection {path}: nowhere to keep its memory-mapped copy: {refused}")


def _build(fresh: Path, final: Path, path: Path, files: Files, limit: int, form: type[RowForm]) -> Path:
    """Writes into `fresh` and renames it to `final`, so that a cache is whole or not there."""
    try:
        write_cache(fresh, path, files, limit, form)
        for other in final.parent.iterdir():
            killed = other.name.startswith("building-") and time.time() - other.stat().st_mtime > _DAY
            outdated = other.name.endswith(f"-{limit}") and other != final
            if killed or outdated:
                shutil.rmtree(other, ignore_errors=True)
        fresh.rename(final)
    except OSError as error:
        if not (final / "index.json").is_file():  # otherwise another process was faster
            raise UserError(
                f"collection {path}: cannot keep its memory-mapped copy in {final}: {error.strerror}"
            ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return final
