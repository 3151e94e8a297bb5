"""What a dialogue pipeline is called with: a chat as Hugging Face writes it, several, or one after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

from metanlp.errors import UserError
from metanlp.pipelines._inputs import kind_of

ROLES = ("system", "user", "assistant")
A_CHAT = 'a chat is a list like [{"role": "user", "content": "Hello!"}]'
Message = Mapping[str, str]


@dataclass(frozen=True)
class Chat:
    """The messages as they were given, and as lines in turns: the last one is the partner's.

    `system` is what the chat says first itself, None where it leaves that to the recipe.
    """

    messages: tuple[Message, ...]
    lines: tuple[str, ...]
    system: str | None


def chats_of(inputs: Any) -> Chat | list[Chat] | Iterator[Chat]:
    """One chat, a list of what is there at once, an iterator over what comes one by one.

    UserError where something is no chat: at once, or when its turn comes.
    """
    if isinstance(inputs, str | bytes | Mapping) or not isinstance(inputs, Iterable):
        raise UserError(f"answers chats; {A_CHAT}; got {kind_of(inputs)}")
    if not isinstance(inputs, Sequence):
        return (chat_of(each, number) for number, each in enumerate(inputs, 1))
    if inputs and all(isinstance(each, Mapping) for each in inputs):
        return chat_of(inputs, 1)
    return [chat_of(each, number) for number, each in enumerate(inputs, 1)]


def chat_of(given: Any, number: int) -> Chat:
    """UserError that names the chat by its number."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence) or not given:
        raise UserError(f"chat {number} is {kind_of(given) if given else 'empty'}; {A_CHAT}")
    for place, message in enumerate(given, 1):
        wrong = _wrong_with(message, first=place == 1)
        if wrong:
            raise UserError(f"chat {number}, message {place} {wrong}; {A_CHAT}")
    if given[-1]["role"] != "user":
        raise UserError(f"chat {number} ends with a message of the {given[-1]['role']}; the user has the last word")
    spoken = [message for message in given if message["role"] != "system"]
    turns = [" ".join(_line(each) for each in turn) for _, turn in groupby(spoken, lambda message: message["role"])]
    return Chat(tuple(given), tuple(turns), given[0]["content"] if given[0]["role"] == "system" else None)


def answered(chat: Chat, reply: str) -> list[dict[str, list[Message]]]:
    """The chat with the reply, as Hugging Face's `text-generation` gives it."""
    return [{"generated_text": [*chain(chat.messages, [{"role": "assistant", "content": reply}])]}]


def _wrong_with(message: Any, first: bool) -> str:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
        return "has no text as its content"
    if message.get("role") not in ROLES:
        return f"is of {message.get('role')!r}; there are {', '.join(ROLES)}"
    if message["role"] == "system" and not first:
        return "is the system's, which comes first"
    return "" if message["content"].strip() or message["role"] == "system" else "is empty"


def _line(message: Message) -> str:
    """A message without line ends, which part the lines of a dialogue."""
    return " ".join(message["content"].split())
