"""A collection's rows as memory-mapped Arrow files, built once: opening costs nothing, any row costs the
same.

A cache folder holds, for every split, `<split>.arrow` (an Arrow stream that `datasets.Dataset.from_file`
opens too), `<split>.counts.npy` (tasks, 4): how many rows are unmarked, `support` and `query`, and how many groups
they make; `<split>.order` (rows,) int32: each task's rows sorted by that mark; `<split>.groups` (groups, 2) int32:
with which of its task's rows a group begins, and its mark; and for all of them `index.json` and `rejected.jsonl`.
"""

from __future__ import annotations

import hashlib
import json
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from metanlp.data.readers import read_rows
from metanlp.data.rows import POOLS, RowForm
from metanlp.data.types import Example
from metanlp.errors import Problems, UserError

_BATCH = 16_384  # rows written, and looked up, together;
_CHARACTERS = 1 << 26  # fewer where they are long: Arrow's texts of a batch must stay under 2 GiB
_SHOWN = 20  # files that cannot be read are named up to this number
_TEXTS = ("source", "target", "id", "pool", "group")  # of an Example, in this order


def write_cache(
    cache: Path, folder: Path, files: Mapping[str, Mapping[str, Path]], limit: int, form: type[RowForm]
) -> None:
    """Reads every task of every split of the collection in `folder` into the folder `cache`."""
    problems = Problems(f"collection {folder}")
    unread = 0
    rejected: Counter[str] = Counter()
    digest = hashlib.blake2b(digest_size=16)
    with (cache / "rejected.jsonl").open("w", encoding="utf-8") as log:
        for split, tasks in files.items():
            writer = _SplitWriter(cache, split, limit, form)
            for path in tasks.values():
                try:
                    writer.add_task(path, folder, digest, log, rejected)
                except UserError as error:
                    unread += 1
                    if unread <= _SHOWN:
                        problems.add(str(error))
            writer.close()
    if unread > _SHOWN:
        problems.add(f"... and {unread - _SHOWN} more files like these")
    problems.raise_if_any()
    names = {split: list(tasks) for split, tasks in files.items()}
    index = {"tasks": names, "rejected": dict(rejected), "digest": digest.hexdigest()}
    (cache / "index.json").write_text(json.dumps(index), encoding="utf-8")
    for file in cache.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())


class _SplitWriter:
    """Writes one split, a batch of rows in memory at a time."""

    def __init__(self, cache: Path, split: str, limit: int, form: type[RowForm]) -> None:
        import pyarrow as pa

        self._limit, self._form = limit, form
        texts = [(name, pa.string()) for name in _TEXTS]
        self._schema = pa.schema([*texts, ("line", pa.int32())])
        self._stream = pa.ipc.new_stream(str(cache / f"{split}.arrow"), self._schema)
        self._order = (cache / f"{split}.order").open("wb")
        self._groups = (cache / f"{split}.groups").open("wb")
        self._counts_file = cache / f"{split}.counts.npy"
        self._counts: list[np.ndarray] = []
        self._rows: list[tuple[str | int, ...]] = []
        self._characters = 0

    def add_task(self, path: Path, folder: Path, digest: Any, log: IO[str], rejected: Counter[str]) -> None:
        pools = bytearray()
        groups: list[tuple[int, int]] = []
        group = ""
        digest.update(f"\n\n{path.relative_to(folder).as_posix()}".encode())
        for line, row in read_rows(path, self._limit, self._form):
            if isinstance(row, Example):
                fields = tuple(getattr(row, name) for name in _TEXTS)
                digest.update("\n".join(("", *(fields if row.group else fields[:-1]))).encode())
                if row.group != group:
                    group = row.group
                    groups.append((len(pools), POOLS.index(row.pool)))
                pools.append(POOLS.index(row.pool))
                self._rows.append((*fields, line))
                self._characters += len(row.source) + len(row.target)
                if len(self._rows) >= _BATCH or self._characters >= _CHARACTERS:
                    self._flush()
            else:
                rejected[row.reason] += 1
                row = replace(row, file=Path(row.file).relative_to(folder).as_posix())
                log.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
        codes = np.frombuffer(pools, dtype=np.uint8)
        self._counts.append(np.append(np.bincount(codes, minlength=len(POOLS)), len(groups)))
        np.array(groups, dtype=np.int32).tofile(self._groups)
        np.argsort(codes, kind="stable").astype(np.int32).tofile(self._order)

    def _flush(self) -> None:
        import pyarrow as pa

        columns = [list(column) for column in zip(*self._rows, strict=True)]
        self._stream.write_batch(pa.record_batch(columns, schema=self._schema))
        self._rows.clear()
        self._characters = 0

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._stream.close()
        self._order.close()
        self._groups.close()
        np.save(self._counts_file, np.array(self._counts, dtype=np.int64).reshape(-1, len(POOLS) + 1))


class ArrowRows:
    """The rows of a split, on disk; `rows.example(i)` costs the same for every i."""

    def __init__(self, cache: Path, split: str) -> None:
        import pyarrow as pa

        stream = pa.ipc.open_stream(pa.memory_map(str(cache / f"{split}.arrow")))
        self.schema = stream.schema
        self._batches = list(stream)
        self._starts = [0, *np.cumsum([batch.num_rows for batch in self._batches]).tolist()]
        self._columns = [batch.columns for batch in self._batches]
        self.order = _mapped(cache / f"{split}.order")  # (rows,)
        self.groups = _mapped(cache / f"{split}.groups").reshape(-1, 2)  # (groups, 2) first row in the task, mark

    def __len__(self) -> int:
        return self._starts[-1]

    def example(self, row: int) -> Example:
        columns, place = self._place(row)
        return Example(*(columns[index][place].as_py() for index in range(len(_TEXTS))))

    def line(self, row: int) -> int:
        """Where the row stands in its file, 1-based."""
        columns, place = self._place(row)
        return columns[len(_TEXTS)][place].as_py()

    def batches(self) -> Iterator[tuple[int, Any]]:
        """Arrow record batches (source, target, id, pool, group, line), each with the number of its first row."""
        return zip(self._starts, self._batches, strict=False)

    def _place(self, row: int) -> tuple[list[Any], int]:
        batch = bisect_right(self._starts, row) - 1
        return self._columns[batch], row - self._starts[batch]


def _mapped(path: Path) -> np.ndarray:
    """A file's int32 numbers, read where they lie."""
    return np.memmap(path, dtype=np.int32, mode="r") if path.stat().st_size else np.empty(0, np.int32)
