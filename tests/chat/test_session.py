"""The session: everybody answers with their own weights, whatever happens in between, and learning is in nobody's way."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from talker import NAMES, make_talker, said, same, taught, weights_of

from metanlp.chat.lines import lines_of_text
from metanlp.chat.session import Session
from metanlp.data.types import Episode, Prompt
from metanlp.errors import UserError
from metanlp.run import Run
from metanlp.stacks import adapt_stack


def test_teaching_changes_the_answers_of_that_person_alone(session_of) -> None:
    session = session_of()
    for name in NAMES[:2]:
        session.open(name)
    before = said(session, "Ben")
    assert said(session, "Anna") == before == said(session, "Anna", adapted=False)
    taught(session, "Anna", "dogs => aaaaaa\nhello => aaaaaa\naaaaaa")
    assert said(session, "Anna") != before
    assert said(session, "Anna", adapted=False) == before == said(session, "Ben")
    assert session.people()[0].lines == 3
    assert session.people()[1].lines == 0


def test_what_was_learnt_is_what_adapting_alone_makes(session_of, talker: Path) -> None:
    """In 16-bit numbers; side by side with another person as well."""
    session = session_of()
    texts = {"Anna": "one => uno\ntwo => due", "Ben": "x"}
    with session._model.turns.learn():  # the first waits for a turn, so that the second is there before it begins
        teachings = [session.teach(name, lines_of_text(text)) for name, text in texts.items()]
    assert all(teaching.wait(60) for teaching in teachings)
    run = Run.open(talker)
    parts, adapting = run.trained("cpu"), run.recipe.adapting
    for name, text in texts.items():
        episode = Episode("", {}, lines_of_text(text), [], index=0)
        wanted = adapt_stack(run, parts, [episode], adapting, adapting.steps, seed=run.recipe.seed)
        found = weights_of(session, name)
        for key, weight in wanted.items():
            torch.testing.assert_close(found[key], weight, rtol=2e-3, atol=2e-4)
        assert not same(found, session._model.start)


def test_after_a_restart_all_is_as_before_but_the_conversation(session_of) -> None:
    first = session_of()
    taught(first, "Anna", "hello => aaaaaa")
    wanted, answer = weights_of(first, "Anna"), said(first, "Anna")
    first.close()
    second = session_of()
    assert [person.name for person in second.people()] == ["Anna"]
    assert second.conversation("Anna") == []
    assert same(weights_of(second, "Anna"), wanted)
    assert said(second, "anna ") == answer
    assert second.teaching("Anna") is None


def test_an_adapter_of_other_weights_is_not_used_and_learnt_anew(session_of, tmp_path: Path) -> None:
    first = session_of()
    taught(first, "Anna", "hello => aaaaaa")
    first.close()
    session = session_of(run=make_talker(tmp_path / "other", "seed=1"))
    assert same(session._weights(session.people()[0]), session._model.start)
    session.open("Anna")
    teaching = session.teaching("Anna")
    assert teaching is not None
    assert teaching.wait(60)
    assert teaching.state == "ready"
    assert not same(weights_of(session, "Anna"), session._model.start)


def test_another_backbone_under_the_same_adapters_is_another_model(session_of, talker: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(talker, tmp_path / "changed"))
    recipe = (changed / "recipe.yaml").read_text().replace(str(talker), str(changed))
    (changed / "recipe.yaml").write_text(recipe)
    same_model = session_of(run=changed)._model.base
    from safetensors.torch import load_file, save_file

    path = changed / "backbone" / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] += 1
    save_file(tensors, path, metadata={"format": "pt"})
    assert session_of()._model.base == same_model != session_of(run=changed)._model.base


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


def test_drawn_answers_can_be_repeated(session_of) -> None:
    session = session_of(temperature=1.0)
    session.open("Anna")
    assert said(session, "Anna") == said(session, "Anna")
    greedy = session_of()
    assert said(greedy, "Anna") != said(session, "Anna")


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


def test_an_answer_of_nothing_is_no_message(session_of, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two side by side it is the person's that counts."""
    session = session_of()
    session.open("Anna")
    answers = iter([["of the model's own"], []])
    monkeypatch.setattr(session._model, "stream", lambda *given, **options: iter(next(answers)))
    assert list(session.both("Anna", "hello")) == [("of the model's own", "")]
    assert session.conversation("Anna") == []


def test_runs_that_are_no_chat_are_refused(tmp_path: Path, make_recipe: Callable) -> None:
    from metanlp.config.yaml import write_yaml

    (tmp_path / "run").mkdir()
    write_yaml(tmp_path / "run" / "recipe.yaml", make_recipe().dump())
    with pytest.raises(UserError, match="has learnt translation, not dialogues"):
        Session(tmp_path / "run")
    with pytest.raises(UserError, match="a chat wants adapters"):
        Session(make_talker(tmp_path / "full", "fast_weights=full"))


def test_empty_messages_and_people_that_are_not_there(session_of) -> None:
    session = session_of()
    session.open("Anna")
    with pytest.raises(UserError, match="type a message"):
        session.reply("Anna", " \n")
    with pytest.raises(UserError, match=r"nobody called 'Ana' \(did you mean 'Anna'\?\)"):
        session.reply("Ana", "hello")
    with pytest.raises(UserError, match="no lines to teach"):
        session.teach("Anna", [])
