from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metanlp.config.yaml import write_yaml
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.tasks.dialogue import Dialogue

ASKED = Example("Hi!\nHello.\nHow are you?", "Fine, thanks.", group="3")
EARLIER = [Example("Good night!", "Sleep well.", group="1"), Example("a\nb\nGot a pet?", "Two dogs!", group="2")]
INFO = {"persona": ["I have two dogs.", "I sing."]}


@pytest.fixture
def family() -> Dialogue:
    return Dialogue(collection="people", system="Be yourself.")


def test_a_dialogue_turn_by_turn(family: Dialogue) -> None:
    prompt = family.prompt_of("ann", {}, ASKED)
    assert prompt.input == "> Hi!\n< Hello.\n> How are you?"
    assert prompt.turns == ("Hi!", "Hello.", "How are you?")
    assert (prompt.system, prompt.output) == ("Be yourself.", "Fine, thanks.")


def test_only_the_latest_turns_are_read(family: Dialogue) -> None:
    prompt = family.model_copy(update={"max_turns": 2}).prompt_of("ann", {}, ASKED)
    assert prompt.turns == ("Hello.", "How are you?")
    assert prompt.input == "< Hello.\n> How are you?"


def test_persona_sentences_are_read_where_asked_for(family: Dialogue) -> None:
    assert family.prompt_of("ann", INFO, ASKED) == family.prompt_of("ann", {}, ASKED)
    prompt = family.model_copy(update={"persona": True}).prompt_of("ann", INFO, ASKED)
    assert prompt.input == "I have two dogs.\nI sing.\n> Hi!\n< Hello.\n> How are you?"
    assert prompt.system == "Be yourself.\nI have two dogs.\nI sing."
    assert prompt.turns == ("Hi!", "Hello.", "How are you?")


@pytest.mark.parametrize("info", [{}, {"persona": "I have two dogs."}, {"persona": []}, {"persona": [3]}])
def test_persona_sentences_that_are_not_there(family: Dialogue, info: dict) -> None:
    with pytest.raises(UserError, match=r"task\.persona asks for sentences of 'ann'.*set task\.persona to false"):
        family.model_copy(update={"persona": True}).prompt_of("ann", info, ASKED)


def test_shown_replies_are_earlier_turns(family: Dialogue) -> None:
    prompt = family.prompt_shown("ann", INFO, ASKED, EARLIER)
    shown = ("Good night!", "Sleep well.", "Got a pet?", "Two dogs!")
    assert prompt.turns == (*shown, "Hi!", "Hello.", "How are you?")
    assert prompt.input.splitlines()[:3] == ["> Good night!", "< Sleep well.", "> Got a pet?"]
    assert (prompt.system, prompt.output) == ("Be yourself.", "Fine, thanks.")
    assert family.prompt_shown("ann", INFO, ASKED, []) == family.prompt_of("ann", INFO, ASKED)


@pytest.mark.parametrize("lines", range(1, 6))
@pytest.mark.parametrize("max_turns", [1, 2, 6])
def test_speakers_take_turns_whatever_is_shown(family: Dialogue, lines: int, max_turns: int) -> None:
    speakers = ["partner" if place % 2 else "person" for place in range(lines, 0, -1)]
    asked = replace(ASKED, source="\n".join(speakers))
    shown = [Example("x\npartner", "person"), Example("partner", "person")]
    turns = family.model_copy(update={"max_turns": max_turns}).prompt_shown("ann", {}, asked, shown).turns
    assert turns == ("partner", "person") * (len(turns) // 2) + ("partner",)
    assert len(turns) >= 5


def test_the_collection_is_read_as_dialogues(tmp_path: Path, family: Dialogue) -> None:
    folder = tmp_path / "people" / "train"
    folder.mkdir(parents=True)
    (folder / "ann.jsonl").write_text('{"dialogue": 1, "history": ["Hi!", "Hello.", "You?"], "reply": "Ann"}\n')
    facts = {"family": "dialogue", "licence": "CC0", "source": "made for a test", "parallel": False}
    write_yaml(folder.parent / "collection.yaml", facts)
    read = family.model_copy(update={"collection": str(folder.parent), "max_characters": 6})
    assert list(read.load().split("train").task("ann").examples) == [Example("Hi!\nHello.\nYou?", "Ann", group="1")]
    assert read.model_copy(update={"max_characters": 5}).load().rejected == {"over-long": 1}
    write_yaml(folder.parent / "collection.yaml", {**facts, "family": "translation"})
    with pytest.raises(UserError, match="says family: translation; it was to be read as dialogue"):
        read.load()


def test_replies_are_scored(family: Dialogue) -> None:
    assert family.score("exact_match", ["yes", "no"], ["yes", "yes"]).value == pytest.approx(50)
