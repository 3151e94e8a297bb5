"""Chit-chat: on a small source made by hand, and on the real one where its package is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dialogue_folders import check, found

from data_scripts import _output as output
from data_scripts import chitchat
from metanlp.data.sampler import EpisodeSampler
from metanlp.errors import UserError


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
