from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_scripts import exports
from data_scripts._discord import read_discord, read_discord_text
from data_scripts._messages import Message
from data_scripts._telegram import read_telegram
from metanlp.data.readers import read_file
from metanlp.data.row_forms import DialogueRows
from metanlp.errors import UserError

NEW_YEAR = datetime(2023, 12, 31, 21, 41)
NEXT = datetime(2024, 1, 1, 0, 5)

TELEGRAM: dict[str, Any] = {
    "name": "Ann",
    "type": "personal_chat",
    "messages": [
        {"id": 1, "type": "service", "date": "2023-12-31T21:40:00", "actor": "Bob", "text": ""},
        {"id": 2, "type": "message", "date": "2023-12-31T21:41:00", "from": "Ann Smith", "text": "Happy new year!"},
        {"id": 3, "type": "message", "date": "2023-12-31T21:42:00", "from": "Bob", "photo": "p.jpg", "text": ""},
        {
            "id": 4,
            "type": "message",
            "date": "2023-12-31T21:43:00",
            "from": "Bob",
            "forwarded_from": "X",
            "text": "news",
        },
        {"id": 5, "type": "message", "date": "2023-12-31T21:44:00", "from": None, "text": "gone"},
        {
            "id": 6,
            "type": "message",
            "date": "2024-01-01T00:05:00",
            "from": "Bob",
            "text": ["You too, see ", {"type": "link", "text": "example.org"}, " ", {"type": "bold", "text": "now"}],
        },
    ],
}
DISCORD: dict[str, Any] = {
    "guild": {"name": "Friends"},
    "messages": [
        {
            "type": "GuildMemberJoin",
            "timestamp": "2023-12-31T21:40:00+00:00",
            "content": "hi",
            "author": {"name": "bob"},
        },
        {
            "type": "Default",
            "timestamp": "2023-12-31T21:41:00.123+01:00",
            "content": "Happy new year <@123>! <:party:99>",
            "author": {"name": "ann_s", "nickname": "Ann Smith", "isBot": False},
            "mentions": [{"name": "bob", "nickname": "Bobby"}],
            "reactions": [{"emoji": {"name": "x"}, "users": [{"name": "cleo"}]}],
        },
        {
            "type": "Default",
            "timestamp": "2023-12-31T21:42:00Z",
            "content": "x",
            "author": {"name": "bot", "isBot": True},
        },
        {
            "type": "Default",
            "timestamp": "2023-12-31T21:43:00Z",
            "content": "",
            "author": {"name": "bob"},
            "attachments": [1],
        },
        {"type": "Reply", "timestamp": "2024-01-01T00:05:00Z", "content": "You too", "author": {"name": "bob"}},
    ],
}
DISCORD_TEXT = """\
==============================================================
Guild: Friends
Channel: general
==============================================================

[12/31/2023 9:41 PM] ann_s
Happy new year!
====================
drawn by hand

[12/31/2023 9:42 PM] bob#1234 (pinned)

{Attachments}
https://cdn.example/p.jpg

[12/31/2023 9:43 PM] ann_s
Added Cleo Brown to the group.

[1/1/2024 12:05 AM] bob#1234
You too

{Reactions}
x (2)

==============================================================
Exported 3 message(s)
==============================================================
"""


def test_telegram() -> None:
    dropped: Counter[str] = Counter()
    for raw in (TELEGRAM, {"chats": {"list": [TELEGRAM]}}):
        (chat,) = read_telegram(raw, dropped)
        assert chat.messages == [
            Message(NEW_YEAR, "Ann Smith", "Happy new year!"),
            Message(NEXT, "Bob", "You too, see [link] now"),
        ]
    assert dropped.total() == 2 * 4


def test_whom_telegram_itself_names() -> None:
    event = {"type": "service", "date": "2023-12-31T21:40:00", "text": ""}
    said = {"type": "message", "date": "2023-12-31T21:40:00", "from": "Ann", "forwarded_from": "News"}
    events = [
        {**event, "actor": "Bob", "actor_id": "user1", "action": "invite_members", "members": ["Cleo Brown", None]},
        {**event, "actor": "The group", "actor_id": "channel1", "action": "migrate_from_group"},
        {**event, "actor": "Eve", "action": "join_group_by_link", "inviter": "Fay"},
        {**said, "text": ["ask ", {"type": "mention_name", "text": "Gus", "user_id": 3}]},
    ]
    (chat,) = read_telegram({"name": "The group", "type": "private_group", "messages": events}, Counter())
    assert chat.names == {"Ann", "Bob", "Cleo Brown", "Eve", "Fay", "Gus"}
    (chat,) = read_telegram({"name": "Hal", "type": "personal_chat", "messages": [said]}, Counter())
    assert chat.names == {"Ann", "Hal"}


def test_discord_as_json() -> None:
    dropped: Counter[str] = Counter()
    chat = read_discord(DISCORD, dropped)
    assert chat.messages == [
        Message(NEW_YEAR, "Ann Smith", "Happy new year [name]! :party:"),
        Message(NEXT, "bob", "You too"),
    ]
    assert chat.names == {"ann_s", "Ann Smith", "bob", "Bobby", "bot", "cleo"}
    assert dropped.total() == 3


def test_discord_as_text() -> None:
    dropped: Counter[str] = Counter()
    chat = read_discord_text(DISCORD_TEXT, dropped)
    assert chat.messages == [
        Message(NEW_YEAR, "ann_s", "Happy new year!\n====================\ndrawn by hand"),
        Message(NEXT, "bob", "You too"),
    ]
    assert chat.names == {"Cleo Brown"}
    assert dropped.total() == 2


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_conversations_are_cut_at_silences() -> None:
    hour = timedelta(hours=1)
    messages = [Message(NEW_YEAR + after * hour, "Ann", "Hi") for after in (0, 1, 9, 17.5, 18)]
    assert list(map(len, exports.cut(messages, 8 * hour))) == [3, 2]
    assert list(exports.cut([], hour)) == []


def test_one_person_is_kept(tmp_path: Path) -> None:
    chat = "".join(
        f"{day}.12.23, {hour}:00 - {who}: {text}\n"
        for day, hour, who, text in [
            (30, 10, "Bob", "Hi Ann!"),
            (30, 10, "Cleo", "Anyone there?"),
            (30, 11, "Ann", "Hello Bob"),
            (30, 11, "Ann", "how are you?"),
            (30, 12, "Bob", "Fine. Call 0170 1234567"),
            (30, 12, "Ann", "Will do"),
            (31, 12, "Ann", "Nobody answers"),
            (31, 13, "Bob", "I do, and Rex"),
            (31, 14, "Ann S.", "Good dog Rex"),
        ]
    )
    paths = [write(tmp_path, "chat.txt", chat), write(tmp_path, "result.json", TELEGRAM)]
    out = tmp_path / "deep" / "ann.jsonl"
    command = [sys.executable, str(Path(exports.__file__)), "--out", str(out), "--person", "Ann", "--person", "Ann S."]
    command += ["--also", "Rex", *(part for path in paths for part in ("--from", str(path)))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"wrote {out}: 3 replies in 2 dialogues\n")
    examples, rejected = read_file(out, form=DialogueRows)
    assert rejected == []
    assert [(each.source.split("\n"), each.target) for each in examples] == [
        (["Hi [name]! Anyone there?"], "Hello [name] how are you?"),
        (["Hi [name]! Anyone there?", "Hello [name] how are you?", "Fine. Call [number]"], "Will do"),
        (["Nobody answers", "I do, and [name]"], "Good dog [name]"),
    ]
    assert len({each.group for each in examples}) == 2
    assert [path.name for path in out.parent.iterdir()] == ["ann.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("chat.txt", "just a text\n", r"chat\.txt: no export that is known: WhatsApp's text"),
        ("chat.zip", "PK", "no export that is known: .*; unpack it first"),
        ("result.json", {"messages": []}, "no export that is known"),
        ("result.json", [], "no export that is known"),
        ("result.json", "{", "not JSON"),
        (
            "result.json",
            {"messages": [{"from": "Ann", "type": "message", "text": "Hi"}]},
            "another form .*KeyError: 'date'",
        ),
        ("chat.txt", "31.12.23, 21:41 - Bob: Hi\n", r"--person Ann: nobody of that name wrote; who did: Bob \(1\)"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: Any, told: str) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(UserError, match=told):
        exports.build([path], ["Ann"], [], 8, 10, Counter())


def test_the_output_is_one_file(tmp_path: Path) -> None:
    path = write(tmp_path, "chat.txt", "31.12.23, 21:41 - Ann: Hi\n")
    command = [sys.executable, str(Path(exports.__file__)), "--from", str(path), "--person", "Ann", "--out"]
    for out, told in (("ann", "call it NAME.jsonl"), ("ann.jsonl", "Ann replied to nobody")):
        done = subprocess.run([*command, str(tmp_path / out)], capture_output=True, text=True, check=False)
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["chat.txt"]


def test_who_never_wrote_is_hidden_too(tmp_path: Path) -> None:
    lines = ["Bob added Cleo Brown", "Bob: Cleo, are you there?", "Ann: Brown never answers"]
    path = write(tmp_path, "chat.txt", "".join(f"31.12.23, 21:4{at} - {line}\n" for at, line in enumerate(lines)))
    replies, _ = exports.build([path], ["Ann"], [], 8, 10, Counter())
    assert [(reply.history, reply.reply) for reply in replies] == [
        (("[name], are you there?",), "[name] never answers")
    ]


def test_somebody_called_me_is_not_the_person(tmp_path: Path) -> None:
    lines = ["Bob: Happy new year!", "me: not Ann's words", "Ann: thanks"]
    (tmp_path / "chat.txt").write_text("".join(f"31.12.23, 21:4{at} - {line}\n" for at, line in enumerate(lines)))
    replies, _ = exports.build([tmp_path / "chat.txt"], ["Ann"], [], 8, 10, Counter())
    assert [(reply.history, reply.reply) for reply in replies] == [(("Happy new year! not [name]'s words",), "thanks")]
