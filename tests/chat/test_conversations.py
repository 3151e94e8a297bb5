"""Conversations: read by the model, each window's own, and gone with the window."""

from __future__ import annotations

import pytest
from talker import NAMES, said, taught

from metanlp.data.types import Prompt


def test_the_conversation_is_read_by_the_model_and_kept_on_early_close(session_of) -> None:
    session = session_of()
    session.open("Anna")
    read: list[Prompt] = []
    backbone = session._model.parts.backbone
    stream = backbone.stream
    backbone.stream = lambda prompt, **options: read.append(prompt) or stream(prompt, **options)
    answer = "".join(session.reply("Anna", " hello\nthere "))
    pieces = session.reply("Anna", "more")
    first = next(pieces)
    pieces.close()
    assert read[1].turns == ("hello there", answer.strip(), "more")
    assert [message["role"] for message in session.conversation("Anna")] == ["user", "assistant"] * 2
    assert session.conversation("Anna")[3]["content"] == first.strip()
    assert session.reset("Anna") == 4
    assert session.conversation("Anna") == []


def test_both_are_the_two_answers_and_the_persons_is_kept(session_of) -> None:
    session = session_of()
    taught(session, "Anna", "hello => aaaaaa")
    own, theirs = said(session, "Anna", adapted=False), said(session, "Anna")
    session.reset("Anna")
    pairs = list(session.both("Anna", "hello"))
    assert ("".join(pair[0] for pair in pairs), "".join(pair[1] for pair in pairs)) == (own, theirs)
    assert own != theirs
    assert session.conversation("Anna")[1]["content"] == theirs.strip()


def test_each_window_has_its_own_conversation(session_of) -> None:
    session = session_of()
    session.open("Anna")
    one = "".join(session.reply("Anna", "hello", window="one"))
    left = session.reply("Anna", "hello", window="two")
    next(left)
    assert session.conversation("Anna") == session.conversation("Anna", "two") == []
    session.reset("Anna", "two")
    assert list(left) == []  # it belonged to what was begun anew
    assert [each["content"] for each in session.conversation("anna", "one")] == ["hello", one.strip()]
    "".join(session.reply("Anna", "hello"))
    assert (session.reset("Anna", "two"), session.reset("Anna", "one"), session.reset("Anna", "one")) == (0, 2, 0)
    "".join(session.reply("Anna", "hello", window="three"))
    assert session.forget("Anna").messages == 4
    assert session.conversation("Anna", "three") == []


def test_a_closed_window_takes_its_conversations_along(session_of) -> None:
    session = session_of()
    for name in NAMES[:2]:
        session.open(name)
        for window in ("one", "two"):
            "".join(session.reply(name, "hello", window=window))
    left = session.reply("Anna", "more", window="one")
    next(left)
    session.leave("one")
    assert list(left) == []  # nobody goes on where nobody is
    assert [len(session.conversation(name, "one")) for name in NAMES[:2]] == [0, 0]
    assert [len(session.conversation(name, "two")) for name in NAMES[:2]] == [2, 2]
    assert session.forget("Anna").messages == 2


def test_an_answer_of_nothing_is_no_message(session_of, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two side by side it is the person's that counts."""
    session = session_of()
    session.open("Anna")
    answers = iter([["of the model's own"], []])
    monkeypatch.setattr(session._model, "stream", lambda *given, **options: iter(next(answers)))
    assert list(session.both("Anna", "hello")) == [("of the model's own", "")]
    assert session.conversation("Anna") == []
