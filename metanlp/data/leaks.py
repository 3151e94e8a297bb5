"""What held-out tasks share with training tasks but must not (docs/collections.md says it for people).

Compared are the queries of valid and test tasks: the examples marked `query`; where a collection is not
parallel and a task marks none, all unmarked ones. Memory grows with the queries, not with the training tasks,
which are compared where they lie, exactly, by Arrow's hash tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from metanlp.data.collection import TaskCollection
from metanlp.data.matching import Rows, first_pairs, first_seen
from metanlp.data.rows import excerpt

if TYPE_CHECKING:
    import pyarrow as pa

SHORT = 10  # characters; a shorter text that recurs by itself ("OK", "Thanks!") gives nothing away
LABELS = 0.5  # a side with fewer different texts than this share of a task's queries holds labels
_SHOWN = 5  # names in a sentence


@dataclass(frozen=True, slots=True)
class Leak:
    """One thing wrong with a task, or with a whole split (`task` is ""). `str(leak)` says it to people."""

    kind: str  # id, pair, source, target, support, valid and test, no marks, no id, name, dialogue
    split: str
    task: str
    count: int  # how many queries (no marks, name: tasks) it concerns
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def find_leaks(collection: TaskCollection) -> list[Leak]:
    """Everything that training tasks give away of valid and test tasks' queries, or these of each other.

    A query is told about once, under the first that holds: same id, same pair, same source, same target. In dialogues
    everyday lines recur; there whole dialogues are compared, by their id, whoever of a task's examples they are.
    """
    leaks = list(_same_names(collection))
    if any(tasks.grouped for tasks in collection.splits.values()):
        return leaks + list(_same_dialogues(collection))
    held_out_splits = [split for split in ("valid", "test") if split in collection.splits]
    queries = {split: Rows.queries(collection, split) for split in held_out_splits}
    training = Rows(collection, "train") if "train" in collection.splits else None
    for held_out in queries.values():
        if collection.facts.parallel:
            leaks += _not_marked(held_out)
            leaks += _in_own_support(held_out, Rows.support(collection, held_out.split))
        if training is not None:
            leaks += _in_training(held_out, training)
    if collection.facts.parallel and len(queries) == 2:
        leaks += _in_both(queries["valid"], queries["test"])
    return leaks


def _in_training(queries: Rows, training: Rows) -> Iterator[Leak]:
    parallel = queries.collection.facts.parallel
    told = np.zeros(len(queries.number), dtype=bool)
    for kind in ("id", "pair", "source", "target"):
        if kind == "id":
            seen = first_seen(queries.texts("id"), training.texts("id"))
            counts = queries.lengths("id") > 0 if parallel else np.zeros(len(told), dtype=bool)
        elif kind == "pair":
            seen = first_pairs(queries, training)
            counts = np.ones(len(told), dtype=bool)
        else:
            seen = first_seen(queries.texts(kind), training.texts(kind))
            counts = _tells(queries, kind, 1 if parallel and kind == "source" else SHORT)
        leaked = (seen >= 0) & counts & ~told
        told |= leaked
        what = "source and target" if kind == "pair" else kind
        for task, rows, all_rows in queries.by_task(leaked):
            row, there = int(rows[0]), int(seen[rows[0]])
            shown = queries.texts("source" if kind == "pair" else kind)[row].as_py()
            sentence = (
                f"{queries.split}/{task}: {len(rows)} of {all_rows} queries have the {what} of a training "
                f"example; {queries.place(row)} and {training.place(there)}: {excerpt(shown)!r}"
            )
            yield Leak(kind, queries.split, task, len(rows), sentence)


def _tells(queries: Rows, side: str, shortest: int) -> np.ndarray:
    """(queries,) whether this side's text gives a query away: not short, no label, not declared to recur."""
    import pyarrow.compute as pc

    if side in queries.collection.facts.repeats:
        return np.zeros(len(queries.number), dtype=bool)
    codes = pc.index_in(queries.texts(side), value_set=pc.unique(queries.texts(side))).to_numpy()
    different = np.zeros(len(queries.tasks), dtype=np.int64)
    number_and_code = np.unique(np.stack([queries.number, codes]), axis=1)
    np.add.at(different, number_and_code[0], 1)
    counts = np.bincount(queries.number, minlength=len(queries.tasks))
    sentences = different >= LABELS * counts  # (tasks,)
    return (queries.lengths(side) >= shortest) & sentences[queries.number]


def _not_marked(queries: Rows) -> Iterator[Leak]:
    tasks = queries.tasks
    bare = [tasks.names[index] for index in np.flatnonzero((tasks.sizes > 0) & (tasks.pools[:, 2] == 0))]
    if bare:
        names = ", ".join(bare[:_SHOWN]) + (f" and {len(bare) - _SHOWN} more" if len(bare) > _SHOWN else "")
        sentence = (
            f"{queries.split}: {len(bare)} of {len(tasks)} tasks mark no example `query` ({names}); "
            "in a parallel collection any sentence may stand in training tasks: keep some out and mark them"
        )
        yield Leak("no marks", queries.split, "", len(bare), sentence)
    nameless = queries.lengths("id") == 0
    if nameless.any():
        row = int(np.flatnonzero(nameless)[0])
        count = int(nameless.sum())
        sentence = (
            f"{queries.split}: {count} queries have no id, the first at {queries.place(row)}; "
            "a parallel collection needs ids to tell which sentences are the same"
        )
        yield Leak("no id", queries.split, "", count, sentence)


def _in_own_support(queries: Rows, support: Rows) -> Iterator[Leak]:
    def keys(rows: Rows) -> pa.Array:
        import pyarrow as pa

        pairs = zip(rows.number, rows.texts("id").to_pylist(), strict=True)
        return pa.array([f"{number} {id_}" for number, id_ in pairs], pa.string())

    seen = first_seen(keys(queries), keys(support))
    for task, rows, _ in queries.by_task((seen >= 0) & (queries.lengths("id") > 0)):
        places = f"{queries.place(int(rows[0]))} and {support.place(int(seen[rows[0]]))}"
        what = f"{len(rows)} queries have the id of an example to learn from in the same task"
        sentence = f"{queries.split}/{task}: {what}; {places}"
        yield Leak("support", queries.split, task, len(rows), sentence)


def _in_both(valid: Rows, test: Rows) -> Iterator[Leak]:
    seen = first_seen(test.texts("id"), valid.texts("id"))
    for task, rows, _ in test.by_task((seen >= 0) & (test.lengths("id") > 0)):
        places = f"{test.place(int(rows[0]))} and {valid.place(int(seen[rows[0]]))}"
        sentence = f"test/{task}: {len(rows)} queries have the id of a query of a valid task; {places}"
        yield Leak("valid and test", "test", task, len(rows), sentence)


def _same_dialogues(collection: TaskCollection) -> Iterator[Leak]:
    splits = [Rows(collection, split) for split in collection.splits]
    for first, second in combinations(splits, 2):
        seen = first_seen(second.texts("group"), first.texts("group"))
        for task, rows, _ in second.by_task(seen >= 0):
            shared = second.texts("group").take(rows).unique()
            places = f"{second.place(int(rows[0]))} and {first.place(int(seen[rows[0]]))}"
            sentence = (
                f"{second.split}/{task}: {len(shared)} of its dialogues stand in {first.split} as well; "
                f"{places}: {excerpt(shared[0].as_py())!r}"
            )
            yield Leak("dialogue", second.split, task, len(shared), sentence)


def _same_names(collection: TaskCollection) -> Iterator[Leak]:
    seen: dict[str, tuple[str, str]] = {}
    for split, tasks in collection.splits.items():
        for name in tasks.names:
            other_split, other = seen.setdefault(name.lower(), (split, name))
            if other_split != split:
                sentence = f"{split}/{name} and {other_split}/{other} differ in capitals only; one task or two?"
                yield Leak("name", split, name, 1, sentence)
