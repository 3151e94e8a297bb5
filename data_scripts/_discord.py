"""Channels that DiscordChatExporter has written, as JSON or as plain text."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from data_scripts._messages import DATE, TIME, Chat, Message, iso_time, times_of

RULE = "=" * 20  # what a plain text export begins with; its head and its end stand between such rules
_HEAD = re.compile(rf"\[{DATE}\s{TIME}\]\s(.+?)(?:\s\(pinned\))?")
_SECTION = re.compile(r"\{(Attachments|Embed|Stickers|Reactions|Forwarded Message)\}")
_MEMBER = re.compile(r"Added (.+) to the group\.|Removed (.+) from the group\.")
_CODE = re.compile(r"<(?:@[!&]?|#)\d+>")  # a mention of somebody, a role or a channel
_EMOJI = re.compile(r"<a?(:\w+:)\d+>")


def is_discord(raw: Any) -> bool:
    messages = raw.get("messages") if isinstance(raw, dict) else None
    return isinstance(messages, list) and any(isinstance(each.get("author"), dict) for each in messages)


def read_discord(raw: Any, dropped: Counter[str]) -> Chat:
    """A JSON export. Somebody's nickname on the server is their name, if they have one."""
    messages: list[Message] = []
    names: set[str] = set()
    for each in raw["messages"]:
        author = each["author"]
        reacted = (who for reaction in each.get("reactions", []) for who in reaction.get("users", []))
        people = (author, *each.get("mentions", []), *reacted)
        names |= {name for who in people for name in (who["name"], who.get("nickname")) if name}
        if each.get("type") not in ("Default", "Reply") or author.get("isBot"):
            dropped["messages of the system and of bots"] += 1
        elif words := _plain(each.get("content", "")):
            messages.append(Message(iso_time(each["timestamp"]), author.get("nickname") or author["name"], words))
        else:
            dropped["pictures, other files, and messages that were deleted"] += 1
    return Chat(messages, frozenset(names))


def read_discord_text(text: str, dropped: Counter[str]) -> Chat:
    """A plain text export: a line with time and author, then what they wrote."""
    _, _, *body, _, _ = re.split(
        rf"^{RULE}=*$", text.replace("\r\n", "\n"), flags=re.MULTILINE
    )  # somebody may have drawn one
    stamps, speakers, texts = [], [], []
    kept = False  # whether lines are what somebody wrote, and no list of attachments
    for line in RULE.join(body).split("\n"):
        if found := _HEAD.fullmatch(line):
            stamps.append(found.groups()[:7])
            speakers.append(re.sub(r"#\d{4}$", "", found[8]))
            texts.append("")
            kept = True
        elif _SECTION.fullmatch(line):
            kept = False
        elif texts and kept:
            texts[-1] += f"{line}\n"
    messages, names = [], set[str]()
    for time, speaker, words in zip(times_of(stamps), speakers, map(_plain, texts), strict=True):
        if member := _MEMBER.fullmatch(words):
            names.add(member[1] or member[2])
            dropped["messages of the system and of bots"] += 1
        elif words:
            messages.append(Message(time, speaker, words))
        else:
            dropped["pictures, other files, and messages that were deleted"] += 1
    return Chat(messages, frozenset(names))


def _plain(content: str) -> str:
    return _EMOJI.sub(r"\1", _CODE.sub("[name]", content)).strip()
