"""Calling the pipeline of dialogues: chats in and out as Hugging Face has them, and whose weights each one meets."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from talker import invent, make_talker
from transformers import AutoModelForCausalLM, AutoTokenizer

import metanlp
from metanlp.adaptation import adaptation_folder
from metanlp.errors import UserError
from metanlp.pipelines.dialogue import DialoguePipeline
from metanlp.run import Run

NAMES = ["one", "two", None]


def chat(*texts: str, system: str | None = None) -> list[dict[str, str]]:
    """The last text is the user's."""
    roles = ["assistant" if (len(texts) - place) % 2 == 0 else "user" for place in range(len(texts))]
    opening = [] if system is None else [{"role": "system", "content": system}]
    return opening + [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]


CHATS = [
    chat("hello"),
    chat("dogs?", "one two", "three"),
    chat("x"),
    chat("a", "b", "c", "d"),
    chat("no"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_talker(tmp_path_factory.mktemp("run"))
    invent(folder, "one", "two")
    return folder


@pytest.fixture
def pipe(run: Path) -> Callable[..., DialoguePipeline]:
    return lambda adaptation=None, **options: metanlp.pipeline(
        "dialogue", run, adaptation=adaptation, **{"max_new_tokens": 6, "device": "cpu", **options}
    )


def reply_of(answer: Any) -> str:
    return answer[0]["generated_text"][-1]["content"]


def test_a_chat_a_list_and_an_iterator(pipe) -> None:
    answer = pipe("one", batch_size=3)
    alone = [answer(each) for each in CHATS]
    assert alone[1][0]["generated_text"][:-1] == CHATS[1]
    assert alone[1][0]["generated_text"][-1]["role"] == "assistant"
    assert len({reply_of(each) for each in alone}) > 2, "a model that says the same to all would pass"
    assert answer(CHATS) == answer(tuple(CHATS)) == alone
    found = answer(each for each in CHATS)
    assert isinstance(found, Iterator)
    assert list(found) == alone
    assert answer([]) == []


def test_the_same_as_transformers_own_pipeline(run: Path, pipe) -> None:
    """Without an adaptation, adapters add nothing: what `text-generation` makes of the backbone, given the same system."""
    from transformers import pipeline

    plain = pipeline("text-generation", model=str(run / "backbone"), device="cpu")
    given = [chat("hello", system="Be brief."), chat("dogs?", "one two", "three", system="Be brief.")]
    wanted = plain(given, max_new_tokens=6, do_sample=False)
    found = pipe()(given)
    for own, theirs in zip(found, wanted, strict=True):
        assert own[0].keys() == theirs[0].keys()
        assert own[0]["generated_text"][:-1] == theirs[0]["generated_text"][:-1]
        assert reply_of(own) == reply_of(theirs).strip()


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True, "temperature": 1.5, "top_p": 0.9}])
def test_rows_of_several_adaptations_each_as_if_alone(options: dict[str, Any], pipe) -> None:
    which = [NAMES[(place + place // 3) % 3] for place in range(10)]
    chats = CHATS + CHATS[::-1]
    alone = [reply_of(pipe(name, **options)(each)) for name, each in zip(which, chats, strict=True)]
    assert len(set(alone)) > 5
    together = pipe(["one", "two"], batch_size=4, **options)
    counts, generate = [], together.parts.backbone.generate
    together.parts.backbone.generate = lambda tasks, **more: counts.append(len(tasks)) or generate(tasks, **more)
    assert [reply_of(each) for each in together(chats, adaptation=which)] == alone
    assert max(counts) == 3
    assert [reply_of(each) for each in together(iter(chats), adaptation=which)] == alone


@pytest.mark.parametrize("options", [{}, {"do_sample": True, "temperature": 1.5, "seed": 3}])
def test_a_stream_is_the_reply_in_pieces(options: dict[str, Any], pipe) -> None:
    answer = pipe(["one", "two"])
    for name in ("one", "two"):
        pieces = list(answer.stream(CHATS[1], adaptation=name, **options))
        assert len(pieces) > 1
        assert "".join(pieces) == reply_of(answer(CHATS[1], adaptation=name, **options))


def test_the_seed_changes_what_is_drawn(pipe) -> None:
    answer = pipe("one", do_sample=True, temperature=2.0)
    assert len({reply_of(answer(CHATS[0], seed=seed)) for seed in range(4)}) > 1
    assert answer(CHATS[0], seed=2) == answer(CHATS[0], seed=2)


def test_what_the_model_reads_of_a_chat(pipe) -> None:
    answer = pipe()
    read = []
    generate = answer.parts.backbone.generate
    answer.parts.backbone.generate = lambda tasks, **more: read.extend(tasks[0]) or generate(tasks, **more)
    messages = [
        {"role": "system", "content": "Be\nbrief."},
        {"role": "assistant", "content": "Welcome!"},
        {"role": "user", "content": "one\ntwo "},
        {"role": "user", "content": "three"},
    ]
    given = json.loads(json.dumps(messages))
    answer(messages)
    assert messages == given
    assert read[0].turns == ("Welcome!", "one two three")
    assert read[0].system == "Be\nbrief."
    answer(messages[1:])
    assert read[1].system == answer.run.recipe.task.system


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("hello", "answers chats; a chat is a list like"),
        (None, "got None"),
        ({"role": "user", "content": "x"}, "got of type dict"),
        (["hello"], "chat 1 is of type str"),
        ([[]], "chat 1 is empty"),
        ([chat("a"), [{"role": "user"}]], "chat 2, message 1 has no text as its content"),
        ([{"role": "human", "content": "x"}], "message 1 is of 'human'; there are system, user, assistant"),
        ([{"role": "user", "content": " "}], "message 1 is empty"),
        ([*chat("a"), {"role": "system", "content": "x"}, *chat("a")], "message 2 is the system's, which comes first"),
        ([*chat("a"), {"role": "assistant", "content": "x"}], "the user has the last word"),
        ([{"role": "system", "content": "x"}], "the user has the last word"),
    ],
)
def test_what_is_no_chat_is_refused(given: Any, says: str, pipe) -> None:
    with pytest.raises(UserError, match=says):
        pipe()(given)


def test_options_that_are_none_or_do_not_go_together(pipe, run: Path) -> None:
    answer = pipe(["one", "two"])
    for options, says in (
        ({"num_beams": 0}, "num_beams is a whole number from 1 on"),
        ({"temperature": 0.0}, "temperature is above 0"),
        ({"top_p": 1.5}, "top_p from above 0 to 1"),
        ({"do_sample": True, "num_beams": 2}, "take either"),
        ({"max_length": 5}, "no option 'max_length'; there are num_beams"),
    ):
        with pytest.raises(UserError, match=says):
            answer(CHATS[0], adaptation="one", **options)
    with pytest.raises(UserError, match="2 adaptations are loaded"):
        answer.stream(CHATS[0])
    with pytest.raises(UserError, match="stream with num_beams=1"):
        answer.stream(CHATS[0], adaptation="one", num_beams=2)
    with pytest.raises(UserError, match="5 chats and 2 adaptations"):
        answer(CHATS, adaptation=["one", "two"])
    with pytest.raises(UserError, match=r"no pipeline 'dialog' \(did you mean 'dialogue'\?\)"):
        metanlp.pipeline("dialog", run)
    with pytest.raises(UserError, match="translations are not drawn at random, so do_sample"):
        metanlp.pipeline("translation", run, do_sample=True)


def test_a_chat_that_is_cut_is_told_once(pipe) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe()(CHATS)
    with pytest.warns(UserWarning, match="chat 2 and its reply are longer than the 128 pieces") as told:
        pipe()([CHATS[0], chat("a b c d e f g h " * 20), chat("a b c d e f g h " * 20)])
    assert len(told) == 1


def test_room_for_the_reply_is_room_that_the_chat_has_not(pipe) -> None:
    """The same chat is read in whole before a short reply, and loses its first message before a long one."""
    answer = pipe()
    long = chat("a b c d e f g h " * 2, "i", "j")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer(long, max_new_tokens=2)
    with pytest.warns(UserWarning, match="chat 1 and its reply are longer"):
        found = reply_of(answer(long, max_new_tokens=24))
    assert found == reply_of(answer(chat("i", "j"), max_new_tokens=24))


def test_in_transformers(run: Path) -> None:
    """`metanlp-dialogue` on the backbone with an adaptation's folder, beside plain peft and plain generate."""
    from peft import PeftModel
    from transformers import pipeline

    metanlp.register_pipelines()
    metanlp.register_pipelines()
    adapter = adaptation_folder(Run.open(run), "one")
    tokenizer = AutoTokenizer.from_pretrained(run / "backbone")
    base = AutoModelForCausalLM.from_pretrained(run / "backbone", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, adapter)
    answer = pipeline("metanlp-dialogue", model=str(adapter), tokenizer=tokenizer, device="cpu")
    found = answer(CHATS[1], max_new_tokens=5)
    assert found[0]["generated_text"][:-1] == CHATS[1]
    ids = tokenizer.apply_chat_template(CHATS[1], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**ids, max_new_tokens=5, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert reply_of(found) == tokenizer.decode(written, skip_special_tokens=True)
    assert [reply_of(each) for each in answer(CHATS, max_new_tokens=5)][1] == reply_of(found)
    with pytest.raises(UserError, match="answers chats"):
        answer("hello")


def test_in_transformers_chats_share_a_batch(run: Path) -> None:
    """As many as `batch_size` says, of a list and of an iterator; each gets the reply that it gets alone."""
    from transformers import pipeline

    metanlp.register_pipelines()
    where = run / "backbone"
    answer = pipeline("metanlp-dialogue", model=str(where), tokenizer=str(where), device="cpu", max_new_tokens=5)
    alone = [answer(each) for each in CHATS]
    rows = []
    generate = answer.model.generate
    answer.model.generate = lambda **inputs: rows.append(len(inputs["input_ids"])) or generate(**inputs)
    assert answer(CHATS, batch_size=3) == alone
    assert list(answer(iter(CHATS), batch_size=3)) == alone
    assert rows == [3, 2, 3, 2]
    assert answer([]) == []
    with pytest.raises(UserError, match="chat 2 ends with a message of the assistant"):
        list(answer(iter([CHATS[0], [*CHATS[0], {"role": "assistant", "content": "a"}]])))
