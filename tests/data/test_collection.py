from __future__ import annotations

import json
import os
import time
from multiprocessing import get_context
from pathlib import Path

import datasets
import numpy as np
import pytest

from metanlp.data import collection as collection_module
from metanlp.data.collection import TaskCollection
from metanlp.data.types import Example
from metanlp.errors import UserError

ROWS = [("one", "kunye"), ("two", "kubili"), ("three", "kuthathu")]


def test_tasks_are_what_the_files_say(make) -> None:
    path = make({"train/zu": ROWS, "train/de": [("one", "eins")], "test/no": [("one", "en", "1", "query")]},
                tasks={"no": {"target_language": "no"}})  # fmt: skip
    collection = TaskCollection.open(path, family="translation")
    train = collection.split("train")
    assert train.names == ["de", "zu"]
    assert train.sizes.tolist() == [1, 3]
    task = train.task("zu")
    assert list(task.examples) == [Example(*row) for row in ROWS] == [task.examples[i] for i in range(3)]
    assert list(task.examples[1:]) == list(task.examples)[1:]
    assert task.examples[-1].target == "kuthathu"
    assert train.task(-1).name == "zu"
    with pytest.raises(IndexError):
        task.examples[3]
    assert collection.split("test").task("no").info == {"target_language": "no"}
    assert train.info("zu") == {}
    assert list(collection.split("test").task(0).examples) == [Example("one", "en", "1", "query")]
    assert collection.rejected == {}


def test_all_formats_in_one_split(make) -> None:
    path = make({"train/a": ROWS})
    (path / "train" / "b.jsonl").write_text('{"source": "x", "target": "y"}\n')
    (path / "train" / "c.source.txt").write_text("p\nq\n")
    (path / "train" / "c.target.txt").write_text("r\ns\n")
    datasets.Dataset.from_dict({"source": ["m"], "target": ["n"]}).to_parquet(path / "train" / "d.parquet")
    (path / "train" / ".DS_Store").write_text("")
    split = TaskCollection.open(path).split("train")
    assert [(task.name, [(e.source, e.target) for e in task.examples]) for task in split] == [
        ("a", ROWS), ("b", [("x", "y")]), ("c", [("p", "r"), ("q", "s")]), ("d", [("m", "n")]),
    ]  # fmt: skip


def test_rejected_rows_are_counted_and_listed(make) -> None:
    path = make({"train/zu": [*ROWS, ROWS[0], ("four", "")], "test/xh": [("a", "x" * 30)]})
    collection = TaskCollection.open(path, limit=20)
    assert collection.rejected == {"duplicate": 1, "empty side": 1, "over-long": 1}
    listed = [json.loads(line) for line in collection.rejected_path.read_text().splitlines()]
    assert listed == [
        {"file": "train/zu.tsv", "line": 5, "reason": "duplicate", "text": "one\tkunye"},
        {"file": "train/zu.tsv", "line": 6, "reason": "empty side", "text": "four\t"},
        {"file": "test/xh.tsv", "line": 2, "reason": "over-long", "text": "a\t" + "x" * 30},
    ]
    assert collection.split("test").sizes.tolist() == [0]
    assert TaskCollection.open(path).rejected == {"duplicate": 1, "empty side": 1}  # the usual limit is 2,000


def test_the_arrow_files_are_datasets(make) -> None:
    collection = TaskCollection.open(make({"train/zu": ROWS}))
    dataset = datasets.Dataset.from_file(str(collection.cache / "train.arrow"))
    assert dataset[2] == {"source": "three", "target": "kuthathu", "id": "", "pool": "", "group": "", "line": 4}


def test_built_once_and_again_when_a_file_changes(make, monkeypatch) -> None:
    path = make({"train/zu": ROWS})
    first = TaskCollection.open(path)
    monkeypatch.setattr(collection_module, "write_cache", None)  # building would fail
    assert TaskCollection.open(path).digest == first.digest
    monkeypatch.undo()
    with (path / "train" / "zu.tsv").open("a") as file:
        file.write("four\tkune\n")
    second = TaskCollection.open(path)
    assert second.split("train").sizes.tolist() == [4]
    assert second.digest != first.digest
    assert [other.name for other in (path / ".arrow").iterdir()] == [second.cache.name]  # the old cache is gone
    assert first.split("train").task(0).examples[0].source == "one"  # and yet serves who has it open


def test_a_build_that_fails_leaves_nothing(make) -> None:
    path = make({"train/zu": ROWS})
    (path / "train" / "de.tsv").write_text("src\ttgt\n")
    (path / "train" / "fr.tsv").write_text("")
    with pytest.raises(UserError, match=r"2 problems\n.*de\.tsv:1: no column source(.|\n)*fr\.tsv is empty"):
        TaskCollection.open(path)
    assert list((path / ".arrow").iterdir()) == []


def _open(path: Path) -> str:
    return TaskCollection.open(path).digest


def test_processes_may_build_at_once(make) -> None:
    path = make({f"train/t{i}": [(f"{i} {j}", "x") for j in range(50)] for i in range(20)})
    with get_context("spawn").Pool(2) as pool:
        digests = pool.map(_open, [path] * 8, chunksize=1)
    assert len(set(digests)) == 1
    assert len(list((path / ".arrow").iterdir())) == 1


def test_who_is_slower_takes_what_is_there(make, monkeypatch) -> None:
    path = make({"train/zu": ROWS})

    def beaten(cache: Path, *arguments) -> None:
        monkeypatch.undo()
        cache_of_the_faster.append(TaskCollection.open(path).cache / "index.json")
        theirs.append(cache_of_the_faster[0].stat().st_ino)
        collection_module.write_cache(cache, *arguments)

    cache_of_the_faster: list[Path] = []
    theirs: list[int] = []
    monkeypatch.setattr(collection_module, "write_cache", beaten)
    assert TaskCollection.open(path).split("train").sizes.tolist() == [3]
    assert [cache_of_the_faster[0].stat().st_ino] == theirs


def test_what_a_killed_build_left_goes_after_a_day(make) -> None:
    path = make({"train/zu": ROWS})
    old, new = path / ".arrow" / "building-old", path / ".arrow" / "building-new"
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (time.time() - 100_000,) * 2)
    TaskCollection.open(path)
    assert not old.exists()
    assert new.exists()


def test_a_read_only_collection_is_cached_for_the_user(make, tmp_path, monkeypatch) -> None:
    path = make({"train/zu": ROWS})
    (path / ".arrow").write_text("a file in the way, as good as no permission and works for root")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    collection = TaskCollection.open(path)
    assert collection.cache.is_relative_to(tmp_path / "cache" / "metanlp")
    assert collection.split("train").sizes.tolist() == [3]
    assert TaskCollection.open(path).cache == collection.cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(path / "collection.yaml"))
    with pytest.raises(UserError, match="nowhere to keep"):
        TaskCollection.open(path)


def test_missing_folder_names_the_command(tmp_path) -> None:
    with pytest.raises(UserError, match=r"no task collection .*nothing; make it with `python make\.py`"):
        TaskCollection.open(tmp_path / "nothing", made_by="python make.py")


def test_mistakes_in_the_folder_are_told_together(make) -> None:
    path = make({"train/zu": ROWS, "test/zu": ROWS, "train/x y": ROWS, "valid/maori": ROWS}, tasks={"moari": {}})
    (path / "dev").mkdir()
    (path / "train" / "notes.md").write_text("")
    (path / "train" / "zu.jsonl").write_text("")
    (path / "train" / "de.target.txt").write_text("")
    with pytest.raises(UserError) as error:
        TaskCollection.open(path, family="dialogue")
    for told in (
        "8 problems", "says family: translation", "dev/ is no split", "notes.md is no task",
        "'zu' has two files",
        "de.target.txt has no partner de.source.txt", "x y.tsv: a task name", "'zu' is in train and in test",
        "a task 'moari' that has no file (did you mean 'maori'?)",
    ):  # fmt: skip
        assert told in str(error.value)


def test_mistakes_in_collection_yaml(make) -> None:
    path = make({"train/zu": ROWS})
    (path / "collection.yaml").write_text("family: translation\nlicense: MIT\nsource: x\nparallel: maybe\n")
    with pytest.raises(UserError) as error:
        TaskCollection.open(path)
    for told in (
        "collection.yaml: 3 problems",
        "'license'",
        "did you mean 'licence'?",
        "licence is missing",
        "parallel is 'maybe'",
    ):
        assert told in str(error.value)
    (path / "collection.yaml").write_text("- a\n")
    with pytest.raises(UserError, match="expected lines"):
        TaskCollection.open(path)
    (path / "collection.yaml").unlink()
    with pytest.raises(
        UserError, match=r"collection\.yaml is missing; it should say family, licence, source, parallel"
    ):
        TaskCollection.open(path)


def test_unknown_split_and_task(make) -> None:
    collection = TaskCollection.open(make({"train/zulu": ROWS}))
    with pytest.raises(UserError, match=r"no split 'test'; it has train"):
        collection.split("test")
    with pytest.raises(UserError, match=r"no task 'zolu' .*did you mean 'zulu'"):
        collection.split("train").task("zolu")


def test_no_tasks_at_all(make) -> None:
    with pytest.raises(UserError, match="there are no tasks"):
        TaskCollection.open(make({}))


def test_shares_partition_the_tasks_whatever_others_there_are(make) -> None:
    split = TaskCollection.open(make({f"train/t{i:02}": ROWS for i in range(20)})).split("train")
    half, rest = split.share(0, 0.5, seed=3), split.share(0.5, 1, seed=3)
    assert sorted(half.names + rest.names) == split.names
    assert len(half) == len(rest) == 10
    assert half.names != split.names[:10]
    assert split.share(0, 0.5, seed=3).names == half.names != split.share(0, 0.5, seed=4).names
    assert half.task(half.names[3]).name == half.names[3]
    assert np.all(half.sizes == 3)
    fewer = split.only(split.names[::2]).share(0, 1, seed=3)
    assert fewer.names == split.names[::2]


def test_rows_of_many_batches_are_found(make, monkeypatch) -> None:
    monkeypatch.setattr("metanlp.data.arrow._BATCH", 7)
    tasks = {f"train/t{i}": [(f"{i} {j}", f"x{j}") for j in range(i * 3)] for i in range(8)}
    split = TaskCollection.open(make(tasks)).split("train")
    for i, task in enumerate(split):
        assert [example.source for example in task.examples] == [f"{i} {j}" for j in range(i * 3)]
