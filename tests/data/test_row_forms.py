from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metanlp.data.collection import TaskCollection
from metanlp.data.readers import read_file
from metanlp.data.row_forms import DialogueRows, PairRows, form_of
from metanlp.data.rows import REASONS
from metanlp.data.types import Example
from metanlp.errors import UserError

PER_EXAMPLE = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
line = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)
dialogue = st.lists(st.tuples(st.lists(line, min_size=1, max_size=4), line), min_size=1, max_size=4)


def row(dialogue: Any = "a", history: Any = ("Hi!",), reply: Any = "Hello", **more: Any) -> dict[str, Any]:
    return {"dialogue": dialogue, "history": history, "reply": reply, **more}


def read(folder: Path, *rows: Any, limit: int = 100) -> tuple[list[Example], list[tuple[int, str]]]:
    path = folder / "ann.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    examples, rejected = read_file(path, limit, DialogueRows)
    return examples, [(each.line, each.reason) for each in rejected]


@PER_EXAMPLE
@given(dialogues=st.dictionaries(line, dialogue, max_size=4))
def test_any_dialogue_goes_through_unchanged(tmp_path: Path, dialogues: dict[str, Any]) -> None:
    told = [(name, *reply) for name, replies in dialogues.items() for reply in replies]
    unique = [each for place, each in enumerate(told) if each not in told[:place]]
    examples, rejected = read(tmp_path, *(row(*each) for each in told))
    assert [(each.group, each.source.split("\n"), each.target) for each in examples] == unique
    assert [reason for _, reason in rejected] == ["duplicate"] * (len(told) - len(unique))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (row(history="Hi!"), "wrong type"),
        (row(history=None), "wrong type"),
        (row(history={"Hi!": "Hello"}), "wrong type"),
        (row(history=["Hi!", 3]), "wrong type"),
        (row(history=["Hi!", None]), "wrong type"),
        (row(reply=["Hello"]), "wrong type"),
        (row(dialogue=1.5), "wrong type"),
        (row(dialogue=True), "wrong type"),
        (row(id=["x"]), "wrong type"),
        (["a", ["Hi!"], "Hello"], "wrong type"),
        (row(history=[]), "empty history"),
        (row(history=["Hi!", " "]), "empty side"),
        (row(reply=""), "empty side"),
        (row(dialogue=None), "empty side"),
        (row(history=["Hi!\nHow are you?"]), "control character"),
        (row(reply="a\x07"), "control character"),
        (row(dialogue="a\tb"), "control character"),
        (row(history=["\ud83d"]), "bad UTF-8"),
        (row(history=["short", "x" * 11]), "over-long"),
        (row(reply="x" * 11), "over-long"),
        (row(pool="train"), "bad pool"),
        (row(persona="I like cats"), "unknown column"),
        ({"dialogue": "a", "history": ["Hi!"]}, "missing column"),
        ({"source": "Hi!", "target": "Hello"}, "missing column"),
    ],
)
def test_what_is_no_reply_in_a_dialogue(tmp_path: Path, wrong: Any, reason: str) -> None:
    assert reason in REASONS
    assert read(tmp_path, row("z", ["before"]), wrong, row("b"), limit=10) == (
        [Example("before", "Hello", group="z"), Example("Hi!", "Hello", group="b")],
        [(2, reason)],
    )


def test_the_same_reply_in_another_dialogue_is_no_duplicate(tmp_path: Path) -> None:
    examples, rejected = read(tmp_path, row("a"), row("a", ["Hi!"], "Hey"), row("a"), row("b"), row(7, id=3))
    assert examples == [
        Example("Hi!", "Hello", group="a"),
        Example("Hi!", "Hey", group="a"),
        Example("Hi!", "Hello", group="b"),
        Example("Hi!", "Hello", "3", group="7"),
    ]
    assert rejected == [(3, "duplicate")]


def test_a_boundary_between_lines_is_part_of_the_text(tmp_path: Path) -> None:
    examples, rejected = read(tmp_path, row("a", ["b", "c"], "d"), row("a", ["b"], "c"), row("a", ["bc"], "d"))
    assert [each.source for each in examples] == ["b\nc", "b", "bc"]
    assert rejected == []


def test_rows_of_a_dialogue_stand_together(tmp_path: Path) -> None:
    rows = [row("a"), row("b"), row("a", ["more"]), row("b", ["more"]), row("c")]
    examples, rejected = read(tmp_path, *rows)
    assert [each.group for each in examples] == ["a", "b", "b", "c"]
    assert rejected == [(3, "scattered dialogue")]


def test_a_dialogue_has_one_mark(tmp_path: Path) -> None:
    rows = [row("a", pool="support"), row("a", ["x"], pool="query"), row("b", pool="query"), row("b", ["y"], pool=None)]
    examples, rejected = read(tmp_path, *rows)
    assert [(each.group, each.pool) for each in examples] == [("a", "support"), ("b", "query")]
    assert rejected == [(2, "bad pool"), (4, "bad pool")]


def test_dialogues_stand_in_jsonl_files_alone(tmp_path: Path, make_dialogues) -> None:
    assert (form_of("dialogue"), form_of("translation")) == (DialogueRows, PairRows)
    path = make_dialogues({"train/ann": [row("a"), row("b")]})
    (path / "train" / "bob.tsv").write_text("source\ttarget\nHi!\tHello\n")
    with pytest.raises(
        UserError, match=r'bob\.tsv: dialogues are read from \.jsonl files with lines like \{"dialogue"'
    ):
        TaskCollection.open(path)


def test_another_family_is_read_anew(make_dialogues) -> None:
    path = make_dialogues({"train/ann": [{"source": "Hi!", "target": "Hello"}]})
    assert TaskCollection.open(path).rejected == {"missing column": 1}
    facts = (path / "collection.yaml").read_text()
    (path / "collection.yaml").write_text(facts.replace("family: dialogue", "family: translation"))
    assert TaskCollection.open(path).rejected == {}


def test_groups_are_kept_and_digested(make_dialogues) -> None:
    def digest(*dialogues: str) -> str:
        rows = [row(name, [str(place)]) for place, name in enumerate(dialogues)]
        collection = TaskCollection.open(make_dialogues({"train/ann": rows}, name="-".join(dialogues)))
        assert [each.group for each in collection.split("train").task("ann").examples] == list(dialogues)
        return collection.digest

    assert len({digest("a", "b", "c"), digest("a", "a", "c"), digest("a", "c", "c")}) == 3
