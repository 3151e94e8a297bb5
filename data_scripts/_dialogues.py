"""What the scripts of dialogues share: conversations become people's replies, and nobody's conversation is in two splits."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, NamedTuple

from data_scripts import _common as common
from metanlp.data.rows import LIMIT  # characters of a line; longer ones would be rejected
from metanlp.errors import UserError

MANY = 10  # dialogues to learn from, beside one to be judged on
_SILENCE = re.compile(r"__ ?SILENCE ?__")  # ConvAI2's, where the other one opens the dialogue
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Conversation(NamedTuple):
    """What some people said, in order; the id is the same in the file of everyone who takes part."""

    id: str
    messages: Sequence[tuple[str, str]]  # speaker, text

    @property
    def people(self) -> list[str]:
        return list(dict.fromkeys(speaker for speaker, _ in self.messages))


class Person(NamedTuple):
    """Someone who is a task: where, under which name, and what collection.yaml tells of them."""

    split: str
    name: str
    info: dict[str, Any]


class Reply(NamedTuple):
    """One example of a person."""

    dialogue: str
    history: tuple[str, ...]  # what was said before, a line a turn; the last one is what the person replies to
    reply: str


@dataclass
class People(common.Folder):
    """Tasks that are people. Dialogues are to be added in order of time."""

    tasks: dict[str, dict[str, list[Reply]]] = field(default_factory=lambda: {split: {} for split in common.SPLITS})

    parallel = False

    def add(self, split: str, person: str, replies: Iterable[Reply]) -> None:
        """Put the person's replies in one dialogue behind those that they have."""
        known = self.tasks[split].setdefault(person, [])
        seen: set[Reply] = set()
        for each in replies:
            if max(map(len, (*each.history, each.reply))) > LIMIT:
                self.dropped[f"replies with a line of more than {LIMIT:,} characters in or before them"] += 1
            elif each in seen:
                self.dropped["replies that were given to the same lines before"] += 1
            else:
                seen.add(each)
                known.append(each)

    def add_all(self, conversations: Iterable[Conversation], persons: Mapping[str, Person], history: int) -> None:
        """The replies of all speakers who are a Person.

        A conversation belongs to the most held-out split of those who take part in it, and to them alone: what a test
        person says is in no other split, not even as what somebody was told.
        """
        seen: set[str] = set()
        for conversation in conversations:
            if conversation.id in seen:
                self.dropped["conversations that the source has twice"] += 1
                continue
            seen.add(conversation.id)
            here = {speaker: persons[speaker] for speaker in conversation.people if speaker in persons}
            home = max((person.split for person in here.values()), key=common.SPLITS.index, default="train")
            for speaker, person in here.items():
                if person.split == home:
                    self.add(home, person.name, replies_of(conversation, speaker, history))
                    if person.info:
                        self.info[person.name] = person.info
                else:
                    self.dropped[f"dialogues of a {person.split} person with one of {home}"] += 1

    def drop_small(self, least: int) -> None:
        """Leave out people with fewer dialogues."""
        for split, tasks in self.tasks.items():
            for name, replies in list(tasks.items()):
                if len({reply.dialogue for reply in replies}) < least:
                    del tasks[name]
                    self.info.pop(name, None)
                    what = "dialogue" if least == 1 else f"{least} dialogues"
                    self.dropped[f"replies of people of {split} with less than {what}"] += len(replies)
                    self.dropped[f"people of {split} with less than {what}"] += 1

    def check(self) -> None:
        names = [name for tasks in self.tasks.values() for name in tasks]
        if not names:
            raise UserError("the source has not one person with enough to say")
        assert len(names) == len(set(names)), "a person is in two splits"
        homes: dict[str, str] = {}
        for split, tasks in self.tasks.items():
            for reply in (reply for replies in tasks.values() for reply in replies):
                assert homes.setdefault(reply.dialogue, split) == split, f"dialogue {reply.dialogue} is in two splits"

    def files(self) -> Iterator[tuple[str, str]]:
        for split, tasks in self.tasks.items():
            for name, replies in tasks.items():
                yield f"{split}/{name}.jsonl", as_jsonl(replies)

    def counts(self) -> Iterator[Sequence[str | int]]:
        yield "split", "people", "dialogues", "replies", f"people with more than {MANY} dialogues"
        for split, tasks in self.tasks.items():
            talks = [len({reply.dialogue for reply in replies}) for replies in tasks.values()]
            different = {reply.dialogue for replies in tasks.values() for reply in replies}
            replies = sum(map(len, tasks.values()))
            yield split, len(tasks), len(different), replies, sum(count > MANY for count in talks)


def talks_of(conversations: Iterable[Conversation]) -> Counter[str]:
    """In how many conversations everybody replies."""
    return Counter(
        person
        for conversation in conversations
        for person in conversation.people
        if any(replies_of(conversation, person, 1))
    )


def hold_out(people: Iterable[str], counts: Mapping[str, int], seed: int) -> dict[str, str]:
    """Person -> split, of so many people for each split, drawn by the seed."""
    drawn = iter(common.shuffled(people, seed, "people"))
    return {person: split for split, count in counts.items() for person in islice(drawn, count)}


def as_jsonl(replies: Iterable[Reply]) -> str:
    return "".join(json.dumps(reply._asdict(), ensure_ascii=False) + "\n" for reply in replies)


def as_line(text: str) -> str:
    """`text` on one line, without control characters; "" where it stands for nothing said."""
    line = common.clean(_CONTROL.sub(" ", text))
    return "" if _SILENCE.fullmatch(line) else line


def replies_of(conversation: Conversation, person: str, history: int) -> Iterator[Reply]:
    """What the person replied, each time with the `history` lines before it.

    Messages in a row are one line, so that two speakers take turns: the person, and whoever else talks.
    """
    said = [(speaker == person, as_line(text)) for speaker, text in conversation.messages]
    turns = [
        (mine, " ".join(text for _, text in messages))
        for mine, messages in groupby((each for each in said if each[1]), key=lambda each: each[0])
    ]
    for place, (mine, line) in enumerate(turns):
        if mine and place:
            before = tuple(text for _, text in turns[max(0, place - history) : place])
            yield Reply(conversation.id, before, line)
