"""The scripts of dialogues: on small sources made by hand, and on the real ones where they are at hand."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from data_scripts import _output as output
from data_scripts import chitchat, personachat, realpersonachat, xpersona
from data_scripts._dialogues import Conversation, People, Person, Reply, hold_out, replies_of
from metanlp.config.yaml import read_yaml
from metanlp.data.collection import TaskCollection
from metanlp.data.leaks import find_leaks
from metanlp.data.sampler import EpisodeSampler
from metanlp.errors import UserError


def people() -> People:
    return People("dialogue", "MIT", "All of it.", "somewhere", "thanks to no one", "python x.py")


def talk(name: str, *messages: str) -> Conversation:
    """`talk("1", "ann: Hi", "bob: Hello")`"""
    return Conversation(name, [tuple(message.split(": ", 1)) for message in messages])


def found(folder: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """An independent reader: split -> person -> rows."""
    return {
        split: {
            path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for path in sorted((folder / split).glob("*.jsonl"))
        }
        for split in ("train", "valid", "test")
    }


def check(folder: Path) -> TaskCollection:
    """What every collection of dialogues must be."""
    collection = TaskCollection.open(folder, family="dialogue")
    assert collection.rejected == {}
    assert find_leaks(collection) == []
    homes: dict[str, str] = {}
    for split, tasks in found(folder).items():
        for rows in tasks.values():
            for row in rows:
                assert homes.setdefault(row["dialogue"], split) == split
    return collection


def test_messages_in_a_row_are_one_line() -> None:
    conversation = talk(
        "7", "ann: Hi", "bob: Hello", "bob: who\nare  you?", "ann: Ann", "cyd:  ", "ann: \x00", "cyd: Oh", "bob: Hm"
    )
    assert list(replies_of(conversation, "ann", 10)) == [Reply("7", ("Hi", "Hello who are you?"), "Ann")]
    assert list(replies_of(conversation, "bob", 2)) == [
        Reply("7", ("Hi",), "Hello who are you?"),
        Reply("7", ("Hello who are you?", "Ann Oh"), "Hm"),
    ]
    assert list(replies_of(conversation, "dee", 2)) == []


def test_a_conversation_goes_where_the_most_held_out_person_is() -> None:
    made = people()
    persons = {
        name: Person(split, name.upper(), {}) for name, split in [("ann", "train"), ("bob", "test"), ("cyd", "valid")]
    }
    persons["dee"] = Person("train", "DEE", {"persona": ["I sing."]})
    talks = [
        talk("1", "ann: a", "bob: b", "ann: c"),
        talk("1", "ann: a", "bob: b", "ann: c"),
        talk("2", "cyd: a", "bob: b"),
        talk("3", "cyd: a", "ann: b", "cyd: c"),
        talk("4", "dee: a", "ann: b", "dee: c"),
        talk("5", "zoe: a", "ann: b"),  # zoe is nobody's task
    ]
    made.add_all(talks, persons, 10)
    assert {
        split: {name: [reply.dialogue for reply in replies] for name, replies in tasks.items()}
        for split, tasks in made.tasks.items()
    } == {"train": {"DEE": ["4"], "ANN": ["4", "5"]}, "valid": {"CYD": ["3"]}, "test": {"BOB": ["1", "2"]}}
    assert made.info == {"DEE": {"persona": ["I sing."]}}
    assert made.dropped == {
        "dialogues of a train person with one of test": 1,
        "dialogues of a valid person with one of test": 1,
        "dialogues of a train person with one of valid": 1,
        "conversations that the source has twice": 1,
    }
    made.check()


def test_what_cannot_be_learnt_from_is_dropped() -> None:
    made = people()
    long = "x" * 2001
    made.add(
        "train",
        "ann",
        [Reply("1", ("a",), "b"), Reply("1", ("a",), "b"), Reply("1", (long,), "b"), Reply("2", ("a",), "b")],
    )
    made.add("train", "bob", [Reply("3", ("a",), "b")])
    made.info = {"ann": {}, "bob": {}}
    made.drop_small(2)
    assert made.tasks["train"] == {"ann": [Reply("1", ("a",), "b"), Reply("2", ("a",), "b")]}
    assert made.info == {"ann": {}}
    assert sum(made.dropped.values()) == 4  # a copy, a long one, bob and his reply
    made.drop_small(3)
    with pytest.raises(UserError, match="not one person with enough to say"):
        made.check()


def test_a_dialogue_in_two_splits_is_our_mistake() -> None:
    made = people()
    made.add("train", "ann", [Reply("1", ("a",), "b")])
    made.add("test", "bob", [Reply("1", ("a",), "b")])
    with pytest.raises(AssertionError, match="dialogue 1 is in two splits"):
        made.check()


def test_holding_out_depends_on_the_seed_alone() -> None:
    names = [f"p{number}" for number in range(20)]
    held = hold_out(names, {"test": 5, "valid": 3}, 0)
    assert sorted(held.values()) == ["test"] * 5 + ["valid"] * 3
    assert hold_out(reversed(names), {"test": 5, "valid": 3}, 0) == held
    assert hold_out(names, {"test": 5, "valid": 3}, 1) != held


def chats(people: int, talks: int) -> dict[str, Any]:
    """Everybody talks with the next one `talks` times, and once with nobody."""
    made: dict[str, Any] = {}
    for number in range(people):
        for count in range(talks + 1):
            who = [f"{number:08x}-x", f"{(number + 1) % people:08x}-x"]
            said = [
                [
                    {
                        "sender": who[place % 2 if count else 0],
                        "timestamp": f"2018-05-{count + 1:02}T1{place}",
                        "text": f"{count} {place}",
                    }
                ]
                for place in range(8)
            ]
            made[f"c{number}-{count}"] = {"messages": said}
    return made


def test_chitchat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chitchat_dataset").mkdir()
    (tmp_path / "chitchat_dataset" / "dataset.json").write_text(json.dumps(chats(200, 6)))
    output.finish(chitchat.build(tmp_path, messages=30, least=2, history=3, seed=0), tmp_path / "out")
    collection = check(tmp_path / "out")
    tasks = found(tmp_path / "out")
    assert len(tasks["test"]) == 50
    assert 10 <= len(tasks["valid"]) <= 20  # some have lost all they said to people of test
    assert all(len({row["dialogue"] for row in rows}) == 12 for rows in tasks["test"].values())
    for rows in tasks["test"].values():
        days = [int(row["dialogue"].split("-")[1]) for row in rows]
        assert days == sorted(days)  # in order of time
        assert {len(row["history"]) for row in rows} == {1, 2, 3}
    assert "people with more than 10 dialogues" in " ".join(capsys.readouterr().out.replace("┃", " ").split())
    assert EpisodeSampler(collection.split("train"), 0, 8, 4)[0].support
    with pytest.raises(UserError, match="not one person"):
        output.finish(chitchat.build(tmp_path, messages=500, least=2, history=3, seed=0), tmp_path / "none")


def test_chitchat_without_the_package_s_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--from .*: there is no .*dataset\.json"):
        chitchat.build(tmp_path, 30, 2, 10, 0)


def test_the_real_chitchat(tmp_path: Path) -> None:
    package = pytest.importorskip("chitchat_dataset", reason="pip install chitchat-dataset")
    output.finish(chitchat.build(Path(package.__file__).parents[1], 30, 2, 10, 0), tmp_path / "out")
    collection = check(tmp_path / "out")
    assert {name: (len(split), int(split.sizes.sum())) for name, split in collection.splits.items()} == {
        "train": (358, 85_950),
        "valid": (20, 6_047),
        "test": (50, 14_497),
    }
    assert collection.split("test").groups.min() > 10
    assert "Permission is hereby granted" in (tmp_path / "out" / "LICENCE.txt").read_text()


def real_talks(count: int) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Everybody of 60 talks with the 12 after them."""
    names = [f"{number:02}" for number in range(60)]
    talks = []
    for number in range(count):
        pair = [names[number % 60], names[(number + 1 + number // 60) % 60]]
        talks.append(
            {"id": number + 1, "users": pair, "turns": [[pair[place % 2], f"{number} {place}"] for place in range(6)]}
        )
    return talks, {name: [f"I am {name}.", "I sing."] for name in names}


def test_realpersonachat_and_its_copy(tmp_path: Path) -> None:
    talks, personas = real_talks(720)
    with zipfile.ZipFile(tmp_path / "main.zip", "w") as archive:
        for each in talks:
            said = [{"interlocutor_id": who, "text": text, "timestamp": "NaT"} for who, text in each["turns"]]
            raw = {"dialogue_id": each["id"], "interlocutors": each["users"], "utterances": said}
            archive.writestr(f"main/real_persona_chat/dialogues/{each['id']:05}.json", json.dumps(raw))
        about = {name: {"interlocutor_id": name, "persona": persona} for name, persona in personas.items()}
        archive.writestr("main/real_persona_chat/interlocutors.json", json.dumps(about))
    for name, rows in (
        ("realpersonachat", talks),
        ("realpersonachat_users", [{"user": name, "persona": persona} for name, persona in personas.items()]),
    ):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    built = realpersonachat.build(tmp_path, 2, 10, 0)
    assert realpersonachat.build(tmp_path / "main.zip", 2, 10, 0) == built
    output.finish(built, tmp_path / "out")
    check(tmp_path / "out")
    assert (len(built.tasks["test"]), len(built.tasks["valid"])) == (40, 15)
    facts = read_yaml(tmp_path / "out" / "collection.yaml")
    assert facts["tasks"]["07"] == {"language": "Japanese", "persona": ["I am 07.", "I sing."]}
    assert "pose as one of them" in (tmp_path / "out" / "LICENCE.txt").read_text()


def played(persona: Sequence[str], number: int) -> dict[str, Any]:
    first = "__SILENCE__" if number == 4 else f"{number} a"
    return {"persona": list(persona), "dialogue": [[first, f"{number} b"], [f"{number} c", f"{number} d"]]}


def test_xpersona_and_its_copy(tmp_path: Path) -> None:
    trained = [played([f"i am {number % 20}.", "i sing."][:: 1 if number % 2 else -1], number) for number in range(41)]
    tested = [played([f"i was {number % 2}."], number) for number in range(5)] + [played(["only once."], 9)]
    with zipfile.ZipFile(tmp_path / "main.zip", "w") as archive:
        archive.writestr("main/dataset/En_persona_valid.json", json.dumps(trained))
        archive.writestr("main/dataset/En_persona_test.json", json.dumps(tested))
        archive.writestr("main/dataset/Fr_persona_split_test_human_annotated.json", json.dumps(tested))
    rows = [("en", "test", tested), ("en", "valid", trained), ("fr", "test", tested)]
    (tmp_path / "xpersona7.jsonl").write_text(
        "".join(
            json.dumps({"lang": language, "split": split, "persona": each["persona"], "turns": each["dialogue"]}) + "\n"
            for language, split, dialogues in rows
            for each in dialogues
        )
    )
    built = xpersona.build(tmp_path, ["en"], 2, 10, 0)
    assert xpersona.build(tmp_path / "main.zip", ["en"], 2, 10, 0).tasks == built.tasks
    output.finish(built, tmp_path / "out")
    check(tmp_path / "out")
    tasks = found(tmp_path / "out")
    assert {split: len(tasks[split]) for split in tasks} == {"train": 18, "valid": 2, "test": 2}
    zero = next(rows for rows in tasks["test"].values() if rows[0]["reply"] == "0 b")
    assert [row["dialogue"] for row in zero] == [f"en-test-{number}" for number in (1, 1, 3, 3, 5)]
    assert zero[-1] == {"dialogue": "en-test-5", "history": ["4 b", "4 c"], "reply": "4 d"}  # nobody spoke before her
    assert zero[1] == {"dialogue": "en-test-1", "history": ["0 a", "0 b", "0 c"], "reply": "0 d"}
    assert {tuple(sorted(info["persona"])) for info in built.info.values()} >= {("i was 0.",), ("i am 7.", "i sing.")}
    assert built.dropped["personas with fewer than 2 dialogues"] == 1
    rows = [
        {"lang": "it", "split": split, "persona": ["io."], "turns": tested[0]["dialogue"]}
        for split in ("valid", "test")
    ]
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "xpersona7.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 2))
    once = xpersona.build(tmp_path / "twice", ["it"], 2, 10, 0)  # a persona of both parts is a test person alone
    once.check()
    assert {split: len(tasks) for split, tasks in once.tasks.items()} == {"train": 0, "valid": 0, "test": 1}
    assert once.dropped["dialogues of a persona that is in test, too"] == 2
    both = xpersona.build(tmp_path, ["en", "fr"], 2, 10, 0)
    assert len(both.tasks["test"]) == 4
    with pytest.raises(UserError, match="--language de: there are en, fr"):
        xpersona.build(tmp_path, ["de"], 2, 10, 0)


def test_personachat(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def side(persona: str, said: Sequence[str]) -> dict[str, Any]:
        utterances = [
            {"history": list(said[:place]), "candidates": ["wrong", said[place]]} for place in range(1, len(said), 2)
        ]
        return {"personality": [persona, "i sing ."], "utterances": utterances}

    def both(first: str, second: str, number: str) -> list[dict[str, Any]]:
        said = [f"{number} {place}" for place in range(6)]
        return [side(second, said), side(first, ["__ SILENCE __", *said[:5]])]

    trained = [
        row for a in range(20) for b in (a + 1, a + 2) for row in both(f"i am {a} .", f"i am {b % 20} .", f"{a} {b}")
    ]
    tested = [row for number in range(3) for row in both("i was 0 .", "i was 1 .", f"t {number}")]
    for name, rows in (("train", trained), ("validation", tested)):
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / f"{name}-00000-of-00001.parquet")
    built = personachat.build(tmp_path, 2, 10, 0)
    output.finish(built, tmp_path / "out")
    check(tmp_path / "out")
    tasks = found(tmp_path / "out")
    assert len(tasks["test"]) == 2
    assert len(tasks["valid"]) <= 2 < len(tasks["train"])
    for name, rows in tasks["test"].items():
        opens = built.info[name]["persona"] == ["i was 0 .", "i sing ."]
        assert [row["reply"] for row in rows[: 2 if opens else 3]] == (
            ["t 0 2", "t 0 4"] if opens else ["t 0 1", "t 0 3", "t 0 5"]
        )
        assert rows[0]["history"] == (["t 0 0", "t 0 1"] if opens else ["t 0 0"])
        assert len({row["dialogue"] for row in rows}) == 3
    with pytest.raises(UserError, match=r"there is no train-\*\.parquet"):
        personachat.build(tmp_path / "out", 2, 10, 0)


def test_the_real_copies(shared: Path, tmp_path: Path) -> None:
    output.finish(realpersonachat.build(shared, 2, 10, 0), tmp_path / "ja")
    assert {name: (len(split), int(split.sizes.sum())) for name, split in check(tmp_path / "ja").splits.items()} == {
        "train": (169, 213_881),
        "valid": (15, 25_828),
        "test": (40, 73_107),
    }
    output.finish(xpersona.build(shared, ["en"], 2, 10, 0), tmp_path / "en")
    assert {name: (len(split), int(split.groups.sum())) for name, split in check(tmp_path / "en").splits.items()} == {
        "train": (51, 107),
        "valid": (6, 12),
        "test": (198, 518),
    }
