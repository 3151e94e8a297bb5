"""The scripts of dialogues with personas: on small sources made by hand, and on the real ones where they are at hand."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dialogue_folders import check, found

from data_scripts import _output as output
from data_scripts import personachat, realpersonachat, xpersona
from metanlp.config.yaml import read_yaml
from metanlp.errors import UserError


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
