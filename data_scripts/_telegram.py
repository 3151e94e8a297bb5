"""Chats that Telegram Desktop exports as JSON: one chat, or all of an account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from data_scripts._messages import Chat, Message, iso_time

HIDDEN = {"link": "[link]", "text_link": "[link]", "email": "[e-mail]", "phone": "[number]", "bank_card": "[number]"}
HIDDEN |= {"mention": "[name]", "mention_name": "[name]"}  # what Telegram itself has found in a text


def is_telegram(raw: Any) -> bool:
    chats = _chats(raw)
    return bool(chats) and any("from" in message for chat in chats for message in chat["messages"])


def read_telegram(raw: Any, dropped: Counter[str]) -> list[Chat]:
    chats = []
    for chat in _chats(raw):
        messages = []
        for each in chat["messages"]:
            if each.get("type") != "message" or not each.get("from"):
                dropped["messages of the system, or of accounts that are gone"] += 1
            elif "forwarded_from" in each:
                dropped["messages that were forwarded: somebody else's words"] += 1
            elif words := _words(each):
                messages.append(Message(iso_time(each["date"]), each["from"], words))
            else:
                dropped["pictures, other files, and messages that were deleted"] += 1
        chats.append(Chat(messages, frozenset(_names(chat))))
    return chats


def _chats(raw: Any) -> list[dict[str, Any]]:
    """The chats of an export that have messages, whichever of the two it is; none where it is another file."""
    if not isinstance(raw, dict):
        return []
    everything = raw.get("chats")
    found = everything.get("list", []) if isinstance(everything, dict) else [raw]
    return [chat for chat in found if isinstance(chat, dict) and isinstance(chat.get("messages"), list)]


def _names(chat: dict[str, Any]) -> Iterator[str]:
    """Who is named in a chat: whoever writes, joins, is invited or mentioned, and with whom it is."""
    if chat.get("type") == "personal_chat" and chat.get("name"):
        yield chat["name"]
    for each in chat["messages"]:
        found = [each.get("from"), each.get("inviter"), *each.get("members", [])]
        if str(each.get("actor_id", "user")).startswith("user"):  # else it is the group itself
            found.append(each.get("actor"))
        found += [piece["text"] for piece in _pieces(each) if piece["type"] == "mention_name"]
        yield from filter(None, found)


def _words(message: dict[str, Any]) -> str:
    """What somebody wrote, without what Telegram has found to be a link or a name."""
    return "".join(HIDDEN.get(piece["type"], piece["text"]) for piece in _pieces(message)).strip()


def _pieces(message: dict[str, Any]) -> list[dict[str, Any]]:
    """What a message is made of: texts, each with a type."""
    text = message.get("text", "")
    pieces = text if isinstance(text, list) else [text]
    return [{"type": "plain", "text": piece} if isinstance(piece, str) else piece for piece in pieces]
