"""Teaching goes on beside everything else: it is in nobody's way, and its failures are nobody else's."""

from __future__ import annotations

import threading

from talker import said, taught

from metanlp.chat.lines import lines_of_text
from metanlp.errors import UserError


def test_replies_go_on_while_learning(session_of) -> None:
    """The reply is asked for after the first step and is there before the last one."""
    session = session_of()
    session.open("Ben")
    answer, done_then = said(session, "Ben"), []
    session.reset("Ben")
    begun, model = threading.Event(), session._model
    learn = model.learn

    def watched(people, adapting, after_step):
        def stepped() -> None:
            after_step()
            if not begun.is_set():
                begun.set()
                asked.wait(60)

        return learn(people, adapting.model_copy(update={"steps": 40}), stepped)

    asked = threading.Event()
    model.learn = watched
    teaching = session.teach("Anna", lines_of_text("hello => aaaaaa"))
    assert begun.wait(60)
    pieces = session.reply("Ben", "hello")
    found = next(pieces)
    asked.set()
    for piece in pieces:
        found += piece
        done_then.append(teaching.done)
    assert found == answer
    assert teaching.wait(60)
    assert done_then[-1] < teaching.done == 40


def test_more_lines_replace_a_teaching_that_goes_on(session_of) -> None:
    session = session_of()
    with session._model.turns.learn():
        first = session.teach("Anna", lines_of_text("one => uno"))
        second = session.teach("Anna", lines_of_text("two => due"))
    assert second.wait(60)
    assert (first.state, second.state, second.examples) == ("replaced", "ready", 2)
    person = session.open("Anna")
    assert (person.lines, person.learnt.lines) == (2, 2)


def test_a_teaching_that_fails_says_why_and_the_next_one_works(session_of) -> None:
    session = session_of()
    model = session._model
    learn = model.learn
    model.learn = lambda *parts: (_ for _ in ()).throw(RuntimeError("no such luck"))
    teaching = session.teach("Anna", lines_of_text("hello => aaaaaa"))
    assert teaching.wait(60)
    assert (teaching.state, teaching.error) == ("failed", "no such luck")
    model.learn = learn
    taught(session, "Anna", "again")
    assert session.open("Anna").learnt.lines == 2


def test_one_persons_failure_is_no_others(session_of) -> None:
    session = session_of()
    model = session._model
    learn = model.learn

    def picky(people, adapting, after_step):
        if any(line.target == "bad" for lines in people for line in lines):
            raise RuntimeError("bad")
        return learn(people, adapting, after_step)

    model.learn = picky
    with model.turns.learn():
        first = session.teach("Zoe", lines_of_text("hold the thread"))
        bad, good = session.teach("Anna", lines_of_text("bad")), session.teach("Ben", lines_of_text("good"))
    assert all(teaching.wait(60) for teaching in (first, bad, good))
    assert (bad.state, good.state) == ("failed", "ready")


def test_whom_nobody_can_say_how_to_learn_fails_alone(session_of) -> None:
    """As where what `metanlp tune` wrote was damaged while the chat was open."""
    session = session_of()
    model = session._model
    adapting = model.adapting

    def picky(lines):
        if any(line.target == "bad" for line in lines):
            raise UserError("tuned.json is damaged")
        return adapting(lines)

    model.adapting = picky
    with model.turns.learn():
        first = session.teach("Zoe", lines_of_text("hold the thread"))
        bad, good = session.teach("Anna", lines_of_text("bad")), session.teach("Ben", lines_of_text("good"))
    assert all(teaching.wait(10) for teaching in (first, bad, good))
    assert (bad.state, bad.error, good.state) == ("failed", "tuned.json is damaged", "ready")
    taught(session, "Cleo", "the thread goes on")
