"""Rows of a split side by side, and which of their texts stand among others', by Arrow's hash tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from metanlp.data.collection import TaskCollection

if TYPE_CHECKING:
    import pyarrow as pa


class Rows:
    """Rows of a split as one Arrow table, with the number of the task of each."""

    def __init__(self, collection: TaskCollection, split: str, keep: str | None = None) -> None:
        import pyarrow as pa

        self.collection, self.split, self.tasks = collection, split, collection.split(split)
        marked = self.tasks.pools[:, 2] > 0  # (tasks,)
        alone = not collection.facts.parallel  # then a task without marks draws its queries from all rows
        tables, numbers = [], []
        for first, batch in self.tasks.rows.batches():
            rows = np.arange(first, first + len(batch))
            number = np.searchsorted(self.tasks.starts, rows, side="right") - 1
            if keep is not None:
                pool = batch.column("pool").to_numpy(zero_copy_only=False)
                query = np.where(marked[number], pool == "query", (pool == "") & alone)
                chosen = query if keep == "query" else marked[number] & ~query
                batch, number = batch.filter(pa.array(chosen)), number[chosen]
            tables.append(batch)
            numbers.append(number.astype(np.int32))
        self.table = pa.Table.from_batches(tables, self.tasks.rows.schema)
        self.number = np.concatenate([np.empty(0, np.int32), *numbers])  # (rows,)

    @classmethod
    def queries(cls, collection: TaskCollection, split: str) -> Rows:
        return cls(collection, split, "query")

    @classmethod
    def support(cls, collection: TaskCollection, split: str) -> Rows:
        """What tasks with marked queries have besides them."""
        return cls(collection, split, "support")

    def texts(self, column: str) -> pa.ChunkedArray:
        return self.table.column(column)

    def lengths(self, column: str) -> np.ndarray:
        """(rows,) characters."""
        import pyarrow.compute as pc

        return pc.utf8_length(self.texts(column)).to_numpy()

    def task_name(self, row: int) -> str:
        return self.tasks.names[self.number[row]]

    def place(self, row: int) -> str:
        """`train/zu.tsv:17`"""
        file = self.collection.files[self.split][self.task_name(row)]
        return f"{self.split}/{file.name}:{self.table.column('line')[row].as_py()}"

    def by_task(self, chosen: np.ndarray) -> Iterator[tuple[str, np.ndarray, int]]:
        """For every task with chosen rows (a mask): its name, their numbers, and how many rows it has."""
        counts = np.bincount(self.number, minlength=len(self.tasks))
        for number in np.unique(self.number[chosen]):
            rows = np.flatnonzero(chosen & (self.number == number))
            yield self.tasks.names[number], rows, int(counts[number])


def first_seen(asked: Any, among: Any) -> np.ndarray:
    """(asked,) for each text the first place where it stands in `among`, or -1."""
    import pyarrow.compute as pc

    unique = pc.unique(asked)
    hits = pc.fill_null(pc.index_in(among, value_set=unique), -1).to_numpy()
    first = np.full(len(unique), -1, dtype=np.int64)
    places = np.flatnonzero(hits >= 0)[::-1]  # backwards, so that the first of several is what stays
    first[hits[places]] = places
    return first[pc.index_in(asked, value_set=unique).to_numpy()]


def first_pairs(queries: Rows, training: Rows) -> np.ndarray:
    """As first_seen, for source and target together; only training rows with a query's source are joined."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.is_in(training.texts("source"), value_set=pc.unique(queries.texts("source"))).to_numpy()
    rows = np.flatnonzero(known)
    candidates = training.table.select(["source", "target"]).take(pa.array(rows))

    def joined(table: pa.Table) -> Any:  # no text contains the separator
        return pc.binary_join_element_wise(table.column("source"), table.column("target"), "\x1f")

    seen = first_seen(joined(queries.table), joined(candidates))
    return np.where(seen >= 0, rows[seen], -1) if len(rows) else seen
