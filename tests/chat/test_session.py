"""The session: everybody answers with their own weights, whatever happens in between."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from talker import NAMES, make_talker, said, same, taught, weights_of

from metanlp.chat.lines import lines_of_text
from metanlp.chat.session import Session
from metanlp.data.types import Episode
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


def test_drawn_answers_can_be_repeated(session_of) -> None:
    session = session_of(temperature=1.0)
    session.open("Anna")
    assert said(session, "Anna") == said(session, "Anna")
    greedy = session_of()
    assert said(greedy, "Anna") != said(session, "Anna")


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
