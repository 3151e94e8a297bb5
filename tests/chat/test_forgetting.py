"""Forgetting a person: what is deleted, also in the midst of learning or answering."""

from __future__ import annotations

from pathlib import Path

import pytest
from talker import said, taught

from metanlp.chat.lines import lines_of_text
from metanlp.errors import UserError


def test_forgetting_says_what_was_deleted_and_deletes_it(session_of, tmp_path: Path) -> None:
    session = session_of()
    plain = said(session, session.open("Anna").name)
    taught(session, "Anna", "hello => aaaaaa")
    said(session, "Anna")
    person = session.open("Anna")
    forgotten = session.forget("anna")
    assert str(forgotten).startswith("forgot Anna: deleted 1 line, an adapter of 0.0")
    assert "1 adapter in memory, a conversation of 2 messages" in str(forgotten)
    assert not person.folder.exists()
    assert list((tmp_path / "people").iterdir()) == []
    assert len(session._adapters) == 0
    assert session.conversation("Anna") == []
    assert session.teaching("Anna") is None
    with pytest.raises(UserError, match="nobody called 'Anna'"):
        session.reply("Anna", "hello")
    session.open("Anna")
    assert said(session, "Anna") == plain


def test_forgotten_while_learning_stays_forgotten(session_of, tmp_path: Path) -> None:
    session = session_of()
    with session._model.turns.learn():
        teaching = session.teach("Anna", lines_of_text("hello => aaaaaa"))
        assert session.forget("Anna").teaching
    taught(session, "Ben", "x")  # the thread has come past
    assert teaching.state == "replaced"
    assert [person.name for person in session.people()] == ["Ben"]
    assert len(list((tmp_path / "people").iterdir())) == 1


def test_an_answer_that_is_being_written_ends_when_the_person_is_forgotten(session_of) -> None:
    session = session_of()
    session.open("Anna")
    pieces = session.reply("Anna", "hello")
    next(pieces)
    session.forget("Anna")
    assert list(pieces) == []
    assert session.conversation("Anna") == []
