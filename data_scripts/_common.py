"""What every data script shares: rows, the collection they make, rules that keep answers out of training."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from metanlp.errors import Problems, UserError

T = TypeVar("T")
SPLITS = ("train", "valid", "test")
COLUMNS = ("source", "target", "id", "pool")
ENOUGH = 20  # common sentences, to judge whether two tasks are twins
ELSEWHERE = "rows whose sentence is asked in another split"


class Row(NamedTuple):
    """One example of a task, in the order of the columns of its TSV."""

    source: str
    target: str
    id: str
    pool: str = ""  # "support", "query", or "" where either is fine


@dataclass
class Folder(ABC):
    """Everything that goes into the folder of one source."""

    family: str
    licence: str  # its short name, for collection.yaml
    terms: str  # the rest of LICENCE.txt: the licence's own text, or where it stands
    source: str
    attribution: str
    made_by: str
    info: dict[str, dict[str, Any]] = field(default_factory=dict)  # what collection.yaml tells of tasks
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> how many

    parallel = True  # the same sentences run through many tasks

    @abstractmethod
    def drop_small(self, least: int) -> None:
        """Leave out tasks with less than that: nothing to learn from, nothing to judge by."""

    @abstractmethod
    def check(self) -> None:
        """UserError if the source has rows that no file can hold; AssertionError (our bug) on a leak."""

    @abstractmethod
    def files(self) -> Iterator[tuple[str, str]]:
        """Name (in the folder) and text of every task's file."""

    @abstractmethod
    def counts(self) -> Iterator[Sequence[str | int]]:
        """A table of what is in it, its heading first, then a row for every split."""

    def facts(self) -> dict[str, Any]:
        """What collection.yaml says."""
        facts = {name: getattr(self, name) for name in ("family", "licence", "source", "attribution", "made_by")}
        return facts | {"parallel": self.parallel, "tasks": {name: self.info[name] for name in sorted(self.info)}}


@dataclass
class Collection(Folder):
    """Tasks of pairs of texts, the same ones in many tasks."""

    secret: tuple[str, ...] = ("source", "target", "id")  # what of a query row no training task may contain
    tasks: dict[str, dict[str, list[Row]]] = field(default_factory=lambda: {split: {} for split in SPLITS})

    def remove(self, task: str, reason: str) -> None:
        """Leave a task out, and count its rows."""
        rows = next(tasks.pop(task) for tasks in self.tasks.values() if task in tasks)
        self.info.pop(task, None)
        self.dropped[f"rows, task {task}: {reason}"] += len(rows)

    def drop_copies(self, column: str, limit: float = 0.5) -> None:
        """Leave out a task that copies another, and a training task that says much the same as one held out.

        Such a twin (Malay beside Indonesian, a mislabelled file) would teach the held-out task's answers.
        """
        texts = {name: {row.id: getattr(row, column) for row in rows} for _, name, rows in self.all_tasks()}
        seen: dict[frozenset[tuple[str, str]], str] = {}
        for _, name, _ in list(self.all_tasks(held_out_first=True)):
            first = seen.setdefault(frozenset(texts[name].items()), name)
            if first != name:
                self.remove(name, f"a copy of {first}")
        held_out = [*self.tasks["valid"], *self.tasks["test"]]
        for name in list(self.tasks["train"]):
            for other in held_out:
                both = texts[name].keys() & texts[other].keys()
                same = sum(texts[name][key] == texts[other][key] for key in both)
                if len(both) >= ENOUGH and same > limit * len(both):
                    self.remove(name, f"{same / len(both):.0%} the same as {other}, which is held out")
                    break

    def drop_leaks(self) -> None:
        """Take from the training tasks every row that has a text or an id of a query row."""
        known = self._queries()
        for name, rows in self.tasks["train"].items():
            kept = [row for row in rows if not any(getattr(row, c) in known[c] for c in self.secret)]
            self.dropped["training rows with a text of a query"] += len(rows) - len(kept)
            self.tasks["train"][name] = kept

    def drop_small(self, least: int) -> None:
        """Leave out tasks with fewer than `least` rows."""
        for _, name, rows in list(self.all_tasks()):
            if len(rows) < least:
                self.remove(name, f"fewer than {least}")

    def check(self) -> None:
        names = [name for _, name, _ in self.all_tasks()]
        if not names:
            raise UserError("the source has not one usable row")
        assert len(names) == len(set(names)), "a task is in two splits"
        problems = Problems("the source is not as it should be")
        known = self._queries()
        for split, name, rows in self.all_tasks():
            for key, count in Counter(row.id for row in rows).items():
                if count > 1:
                    problems.add(f"{name}: id {key!r} comes {count} times")
            for row in rows:
                if not all(cell and cell == clean(cell) for cell in row[:3]):
                    problems.add(f"{name}: an empty cell, or blanks around one: {row}")
                leaks = [c for c in self.secret if split == "train" and getattr(row, c) in known[c]]
                assert not leaks, f"{name} knows the {leaks} of a query: {row}"
        problems.raise_if_any()

    def files(self) -> Iterator[tuple[str, str]]:
        for split, name, rows in self.all_tasks():
            yield f"{split}/{name}.tsv", "".join("\t".join(row) + "\n" for row in (COLUMNS, *rows))

    def counts(self) -> Iterator[Sequence[str | int]]:
        yield "split", "tasks", "examples", "support", "query"
        for split, tasks in self.tasks.items():
            pools = Counter(row.pool for rows in tasks.values() for row in rows)
            yield split, len(tasks), pools.total(), pools["support"], pools["query"]

    def all_tasks(self, held_out_first: bool = False) -> Iterator[tuple[str, str, list[Row]]]:
        """Split, name and rows of every task."""
        for split in reversed(SPLITS) if held_out_first else SPLITS:
            for name, rows in self.tasks[split].items():
                yield split, name, rows

    def _queries(self) -> dict[str, set[str]]:
        """For each secret column what the query rows have in it."""
        queries = [row for _, _, rows in self.all_tasks() for row in rows if row.pool == "query"]
        return {column: {getattr(row, column) for row in queries} for column in self.secret}


def clean(text: str) -> str:
    """`text` with every run of white space (tabs, line breaks) as one blank, and none at the ends."""
    return " ".join(text.split())


def gist(text: str) -> str:
    """The words of `text` without case and punctuation: to a split, "Save!" and "save" are one sentence."""
    words = "".join(char if char.isalnum() else " " for char in text.casefold()).split()
    return " ".join(words) or text


def fingerprint(text: str) -> str:
    """An id for a sentence: the same text has the same id in every task and on every machine."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def draw(seed: int, purpose: str, key: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments, on any machine and any Python."""
    digest = hashlib.sha256(f"{seed}|{purpose}|{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def shuffled(items: Iterable[T], seed: int, purpose: str) -> list[T]:
    return sorted(items, key=lambda item: (draw(seed, purpose, item), str(item)))


def part_of(seed: int, key: str, held_out: float = 0.1) -> str:
    """The part of a sentence: those of `valid` and `test` (`held_out` each) are asked there only."""
    place = draw(seed, "sentence", key)
    return "valid" if place < held_out else "test" if place < 2 * held_out else "train"


def pool_in(split: str, part: str) -> str | None:
    """The pool of a sentence of `part` in a task of `split`; None where the sentence stays out."""
    if part == "train":
        return "" if split == "train" else "support"
    return "query" if part == split else None


class Direction(StrEnum):
    """Which side of a pair with English is the source."""

    TO_ENGLISH = "to-english"
    FROM_ENGLISH = "from-english"

    def row(self, english: str, other: str, key: str, pool: str) -> Row:
        sides = (other, english) if self is Direction.TO_ENGLISH else (english, other)
        return Row(*sides, key, pool)

    def info(self, code: str, english: str) -> dict[str, str]:
        """What collection.yaml says of a task: the language's code and name, and English's code beside it."""
        source, target = (code, english) if self is Direction.TO_ENGLISH else (english, code)
        return {"source_language": source, "target_language": target, "language": language_name(code)}


def language_name(code: str) -> str:
    """The English name of a code (`zu`, `zul`, `zul_Latn`); the code itself where languages.tsv has none."""
    known = _languages()
    return (known.get(code) or known.get(code.replace("-", "_").split("_")[0]) or [code])[0]


def flores_code(code: str) -> str | None:
    """The FLORES-200 code, as NLLB names languages, of an ISO 639-3 code; None where FLORES-200 lacks it."""
    name_and_code = _languages().get(code, [])
    return name_and_code[1] if len(name_and_code) > 1 else None


def _languages() -> dict[str, list[str]]:
    """languages.tsv: code, then English name and, where there is one, FLORES-200 code."""
    table = (Path(__file__).parent / "languages.tsv").read_text(encoding="utf-8").splitlines()
    return {code: rest for code, *rest in (line.split("\t") for line in table)}
