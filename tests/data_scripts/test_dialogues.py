"""Collections of dialogues: whose replies they are, in which split, and what is dropped."""

from __future__ import annotations

import pytest

from data_scripts._dialogues import Conversation, People, Person, Reply, hold_out, replies_of
from metanlp.errors import UserError


def people() -> People:
    return People("dialogue", "MIT", "All of it.", "somewhere", "thanks to no one", "python x.py")


def talk(name: str, *messages: str) -> Conversation:
    """`talk("1", "ann: Hi", "bob: Hello")`"""
    return Conversation(name, [tuple(message.split(": ", 1)) for message in messages])


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
