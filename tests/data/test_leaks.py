from __future__ import annotations

from pathlib import Path

import pytest

from metanlp.data.collection import TaskCollection
from metanlp.data.leaks import Leak, find_leaks

LONG = "a sentence that is not short"


def leaks(path: Path) -> list[tuple[str, str, int]]:
    return [(leak.kind, f"{leak.split}/{leak.task}", leak.count) for leak in find_leaks(TaskCollection.open(path))]


def test_a_clean_parallel_collection(make) -> None:
    tasks = {
        "train/de": [("1", "eins", "1"), ("2", "zwei", "2")],
        "valid/fr": [("1", "un", "1", "support"), ("3", "trois", "3", "query")],
        "test/zu": [("1", "kunye", "1", ""), ("2", "kubili", "2", "support"), ("4711", "x", "4711", "query")],
    }
    assert leaks(make(tasks, parallel=True)) == []


def test_every_kind_in_a_parallel_collection(make) -> None:
    tasks = {
        "train/de": [
            ("1", "eins", "1", ""),
            ("4711", "viertausend", "n4711", ""),
            ("9", "eins und zwei", "9", "query"),
        ],
        "train/nl": [("1", "een", "1", "")],
        "valid/fr": [("7", "sept", "7", "query"), ("1", "un", "1", "query"), ("1", "une", "1b", "query")],
        "test/zu": [
            ("7", "isikhombisa", "7", "query"),  # the same id as a query of valid
            ("4711", "x", "4711", "query"),  # the source stands in training under another id
            ("12", "eins und zwei", "12", "query"),  # the target does
            ("13", "eins", "13", "query"),  # a target, but short
            ("14", "a", "14", "query"),
            ("14", "b", "14", "support"),  # to learn from, with the id of a query
            ("15", "c", "", "query"),
        ],
        "test/xh": [("21", "x", "21", "support"), ("1", "y", "1", "")],  # no marks: told once
    }
    assert sorted(leaks(make(tasks, parallel=True))) == [
        ("id", "valid/fr", 1), ("no id", "test/", 1), ("no marks", "test/", 1), ("source", "test/zu", 1),
        ("source", "valid/fr", 1), ("support", "test/zu", 1), ("target", "test/zu", 1),
        ("valid and test", "test/zu", 1),
    ]  # fmt: skip


def test_a_leak_says_where(make) -> None:
    tasks = {
        "train/de": [("1", "eins", "1"), ("2", "zwei", "2")],
        "test/zu": [("3", "x", "3", "query"), ("2", "y", "2", "query")],
    }
    (leak,) = find_leaks(TaskCollection.open(make(tasks, parallel=True)))
    assert leak == Leak("id", "test", "zu", 1, str(leak))
    assert str(leak) == (
        "test/zu: 1 of 2 queries have the id of a training example; test/zu.tsv:3 and train/de.tsv:3: '2'"
    )


def test_a_pair_says_where(make) -> None:
    train = [("a", "b"), ("c", "d"), ("Hi", "Hey"), ("Hi", "Hello")]
    (leak,) = find_leaks(TaskCollection.open(make({"train/de": train, "test/zu": [("x", "y"), ("Hi", "Hello")]})))
    assert "test/zu.tsv:3 and train/de.tsv:5: 'Hi'" in str(leak)


@pytest.mark.parametrize(
    ("test_row", "expected"),
    [
        ((LONG, "x"), [("source", "test/zu", 1)]),
        (("y", LONG), [("target", "test/zu", 1)]),
        (("y", "Hello."), []),  # short
        (("Hi", "x"), []),
        (("Hi", "Hello."), [("pair", "test/zu", 1)]),
        ((LONG, LONG), [("pair", "test/zu", 1)]),  # told once
        (("y", "x", "7", ""), []),  # ids mean nothing between tasks that are not parallel
        ((LONG, "x", "7", "support"), []),  # never a query
        ((LONG, "x", "7", "query"), [("source", "test/zu", 1)]),
        ((LONG + ".", LONG.upper()), []),
    ],
)  # fmt: skip
def test_collections_that_are_not_parallel(make, test_row, expected) -> None:
    train = [("Hi", "Hello.", "7", ""), (LONG, LONG, "8", ""), (f"other {LONG}", f"other {LONG}", "9", "")]
    assert leaks(make({"train/de": train, "test/zu": [test_row, ("something", "else")]})) == expected


def test_only_marked_rows_count_where_there_are_any(make) -> None:
    tasks = {"train/de": [(LONG, "x")], "test/zu": [(LONG, "a", "", ""), ("b", "c", "", "query")]}
    assert leaks(make(tasks)) == []


def test_labels_and_declared_repeats_are_no_leaks(make) -> None:
    labels = ["science/technology", "entertainment"]
    train = [(f"train text number {i}", labels[i % 2]) for i in range(6)]
    test = [(f"test text number {i}", labels[i % 2]) for i in range(6)]
    assert leaks(make({"train/de": train, "test/zu": test})) == []
    few = {"train/de": train, "test/zu": test[:2]}
    assert leaks(make(few, name="few")) == [("target", "test/zu", 2)]
    assert leaks(make(few, name="declared", repeats=["target"])) == []


def test_names_that_differ_in_capitals(make) -> None:
    assert leaks(make({"train/ZU": [("a", "b")], "test/zu": [("c", "d")]})) == [("name", "test/zu", 1)]


def test_across_many_batches_and_tasks(make, monkeypatch) -> None:
    monkeypatch.setattr("metanlp.data.arrow._BATCH", 5)
    train = {
        f"train/t{i}": [(f"training sentence {i} {j}", f"target of it {i} {j}") for j in range(9)] for i in range(9)
    }
    test = {f"test/u{i}": [(f"test sentence {i} {j}", f"target of it {i} {j}") for j in range(8, 11)] for i in range(4)}
    found = find_leaks(TaskCollection.open(make(train | test)))
    assert [(leak.kind, leak.task, leak.count) for leak in found] == [("target", f"u{i}", 1) for i in range(4)]
    assert "test/u3.tsv:2 and train/t3.tsv:10: 'target of it 3 8'" in str(found[3])


def test_splits_may_be_missing_or_empty(make) -> None:
    assert leaks(make({"train/zu": [("a", "b")]}, parallel=True)) == []
    assert leaks(make({"test/zu": [("a", "b", "1", "query")]}, name="test", parallel=True)) == []
    path = make(
        {
            "train/de": [(" ", "b")],
            "test/zu": [("a", " ", "1", "query")],
            "valid/x": [("", "", "1", "query")],
        },
        name="empty",
        parallel=True,
    )
    assert leaks(path) == []


def replies(*dialogues: str) -> list[dict[str, object]]:
    return [
        {"dialogue": name, "history": [LONG, "Hello, " * place + "how are you?"], "reply": LONG}
        for name in dialogues
        for place in range(2)
    ]


def test_everyday_replies_are_no_leak_but_dialogues_are(make_dialogues) -> None:
    tasks = {
        "train/ann": replies("1", "2"),
        "train/bob": replies("2", "3"),  # who talked to ann
        "valid/cyd": replies("4", "5", "3"),
        "test/dee": replies("6", "7"),
        "test/eve": replies("7", "8", "5", "1", "2"),
    }
    path = make_dialogues(tasks)
    assert leaks(path) == [("dialogue", "valid/cyd", 1), ("dialogue", "test/eve", 2), ("dialogue", "test/eve", 1)]
    assert str(find_leaks(TaskCollection.open(path))[1]) == (
        "test/eve: 2 of its dialogues stand in train as well; test/eve.jsonl:7 and train/ann.jsonl:1: '1'"
    )
    del tasks["test/eve"], tasks["valid/cyd"]
    assert leaks(make_dialogues(tasks, name="clean")) == []
