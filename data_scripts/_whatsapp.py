"""Chats that WhatsApp exports as text, on Android and on an iPhone.

    31.12.23, 21:41 - Ann: Happy new year!          12/31/23, 9:41 PM - Ann: Happy new year!
    [31.12.23, 21:41:05] Ann: Happy new year!       [12/31/23, 9:41:05 PM] Ann: Happy new year!

A line that begins with no date belongs to the message before. Messages of the system have no name before a colon or, on an
iPhone, begin with an invisible mark; they are left out but for the names in them, as are pictures and the like, whose text is
a remark by WhatsApp.
"""

from __future__ import annotations

import re
from collections import Counter

from data_scripts._messages import DATE, TIME, Chat, Message, times_of
from data_scripts._whatsapp_remarks import DELETED, MARKS, names_in, plain

_HEAD = re.compile(rf"[{MARKS}\ufeff]*(?:\[{DATE},?\s{TIME}\]\s|{DATE},?\s{TIME}\s[-–]\s)(.*)", re.DOTALL)
_SAID = re.compile(r"([^:\"“”]{1,80}):(?:\s(.*)|)$", re.DOTALL)
_REMARK = re.compile(  # <Media omitted>, IMG-1.jpg (file attached)
    rf"[{MARKS}]*<[^<>]+>|[{MARKS}]*\S+\.\w{{2,4}} \([^()]+\)(\n.*)?|null", re.DOTALL
)
_EDITED = re.compile(rf"\s*[{MARKS}]<[^<>]+>$")
_MENTION = re.compile(r"@\u2068([^\u2069]+)\u2069")


def is_whatsapp(text: str) -> bool:
    return any(_HEAD.match(line) for line in text.split("\n")[:20])


def read_whatsapp(text: str, dropped: Counter[str]) -> Chat:
    stamps, bodies = [], []
    for line in text.replace("\r\n", "\n").split("\n"):
        if found := _HEAD.match(line):
            groups = found.groups()
            stamps.append(groups[:7] if groups[0] else groups[7:14])
            bodies.append(groups[14])
        elif bodies:
            bodies[-1] += f"\n{line}"
    messages, names = [], set(_MENTION.findall(text))
    for time, body in zip(times_of(stamps), bodies, strict=True):
        said = _SAID.match(body.rstrip("\n"))
        if not said:
            names |= names_in(body)
            dropped["messages of the system"] += 1
            continue
        speaker, words = plain(said[1]), said[2] or ""
        if words.startswith("\u200e") or _REMARK.fullmatch(words) or words.strip(".") in DELETED:
            names |= names_in(words)
            dropped["pictures, other files, and messages that were deleted"] += 1
        else:
            messages.append(Message(time, speaker, _EDITED.sub("", words)))
    return Chat(messages, frozenset(map(plain, names)))
