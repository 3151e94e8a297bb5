"""Calling a pipeline: what goes in, what comes out, and whose weights each row meets."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from translating import TEXTS, pipe, texts_of

from metanlp.errors import UserError
from metanlp.pipelines._batches import batches_of


def test_a_text_a_list_an_iterator_and_a_column(runs) -> None:
    """Each as if it were alone; a list at once, an iterator as it comes."""
    from datasets import Dataset

    translate = pipe(runs("full"), "one", num_beams=2, batch_size=3)
    alone = [texts_of(translate(text))[0] for text in TEXTS]
    assert alone[1] == alone[3] == ""
    assert len(set(alone)) > 2, "a model that writes the same for every text would pass"
    assert isinstance(translate(TEXTS), list)
    assert texts_of(translate(TEXTS)) == texts_of(translate(tuple(TEXTS))) == alone
    assert texts_of(translate(Dataset.from_dict({"text": TEXTS})["text"])) == alone
    stream = translate(text for text in TEXTS)
    assert isinstance(stream, Iterator)
    assert texts_of(stream) == alone
    assert translate([]) == []


def test_an_endless_iterator_is_read_some_batches_ahead(runs) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "abc"

    stream = pipe(runs("full"), batch_size=2)(endless())
    assert read == 0
    assert next(stream)["translation_text"] == next(stream)["translation_text"]
    assert read == 64


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "got None"),
        (3, "got of type int"),
        (b"abc", "of type bytes"),
        ({"text": "abc"}, "of type dict"),
        (["abc", None], "text 2 is None"),
        (["abc", 3], "text 2 is of type int"),
        ([{"text": "abc"}], r'dataset\["text"\]'),
        ([["abc"]], "text 1 is of type list"),
    ],
)
def test_what_is_no_text_is_refused(given: Any, says: str, runs) -> None:
    with pytest.raises(UserError, match=says):
        pipe(runs("full"))(given)


def test_a_stream_is_refused_where_it_stops_being_text(runs) -> None:
    stream = pipe(runs("full"), batch_size=1)(each for each in [*["abc"] * 40, None])
    assert len([next(stream) for _ in range(32)]) == 32
    with pytest.raises(UserError, match="text 41 is None"):
        next(stream)


def test_options_hold_at_construction_and_for_a_call(runs, monkeypatch: pytest.MonkeyPatch) -> None:
    translate = pipe(runs("full"), num_beams=3, max_new_tokens=5, batch_size=4)
    seen, generate = [], translate.parts.backbone.model.generate

    def watched(**options: Any) -> Any:
        seen.append((options["num_beams"], options["max_new_tokens"], len(options["input_ids"])))
        return generate(**options)

    monkeypatch.setattr(translate.parts.backbone.model, "generate", watched)
    translate(["abc"] * 5)
    translate(["abc"] * 5, num_beams=1, batch_size=5)
    assert seen == [(3, 5, 4), (3, 5, 1), (1, 5, 5)]
    for wrong in ({"num_beams": 0}, {"batch_size": "8"}, {"max_new_tokens": 2.5}, {"batch_size": True}):
        with pytest.raises(UserError, match="a whole number from 1 on"):
            translate("abc", **wrong)
        with pytest.raises(UserError, match="a whole number from 1 on"):
            translate((text for text in ["abc"]), **wrong)
        with pytest.raises(UserError, match="a whole number from 1 on"):
            pipe(runs("full"), **wrong)


@pytest.mark.parametrize("device", [-1, "cpu", torch.device("cpu"), None])
def test_devices_as_hugging_face_names_them(device: Any, runs) -> None:
    expected = "cuda" if device is None and torch.cuda.is_available() else "cpu"
    assert pipe(runs("full"), device=device).parts.learner.device.type == expected


@pytest.mark.parametrize("device", [99, "cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_refused(device: Any, runs) -> None:
    with pytest.raises(UserError, match=r"GPU 99; this machine has|there is no device"):
        pipe(runs("full"), device=device)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_rows_of_several_adaptations_each_as_if_alone(kind: str, beams: int, runs) -> None:
    """Unequal counts, empty texts and the start itself among them; one call of `generate` a batch where weights stack."""
    names = ["one", "two", "three", None]
    which = [names[(place * place + place // 3) % 4] for place in range(20)]
    assert len({which.count(name) for name in names}) > 1
    texts = (TEXTS + TEXTS[::-1])[:20]
    alone = {name: texts_of(pipe(runs(kind), name, num_beams=beams)(texts)) for name in names}
    wanted = [alone[name][place] for place, name in enumerate(which)]
    assert all(len(set(alone[name])) > 2 for name in names[:3])
    assert len({text for found in alone.values() for text in found}) > 8, (
        "adaptations and texts that look the same would prove nothing"
    )
    translate = pipe(runs(kind), ["one", "two"], num_beams=beams, batch_size=8)
    counts, generate = [], translate.parts.backbone.generate
    translate.parts.backbone.generate = lambda tasks, **options: counts.append(len(tasks)) or generate(tasks, **options)
    assert texts_of(translate(texts, adaptation=which)) == wanted
    assert (max(counts) == 4) == (kind == "lora")
    assert texts_of(translate((text for text in texts), adaptation=which)) == wanted


def test_an_empty_list_of_adaptations_is_refused_at_once(runs) -> None:
    with pytest.raises(UserError, match="list of adaptations is empty"):
        pipe(runs("lora"), [])


def test_several_adaptations_need_to_know_whose_each_text_is(runs) -> None:
    translate = pipe(runs("lora"), ["one", "two", "one"])
    with pytest.raises(UserError, match="2 adaptations are loaded; say whose each text is"):
        translate(["abc"])
    with pytest.raises(UserError, match="2 texts and 1 adaptations"):
        translate(["abc", "bad"], adaptation=["one"])
    for count in (1, 3):
        with pytest.raises(UserError, match="there are not as many texts as the 2 adaptations"):
            list(translate((text for text in ["abc"] * count), adaptation=["one", "two"]))
    with pytest.raises(UserError, match=r"no adaptation 'tow' \(did you mean 'two'\?\)"):
        translate(["abc"], adaptation="tow")
    assert texts_of(translate("abc", adaptation="two")) == texts_of(pipe(runs("lora"), "two")("abc"))


def test_a_text_that_is_cut_is_told_once(runs) -> None:
    """256 pieces of one letter each, and the end of the sentence; what a text of 255 letters says too is no warning."""
    translate = pipe(runs("full"), max_new_tokens=2)
    limit = translate.parts.backbone.max_length
    fits = next(
        text for n in range(limit, 0, -1) if len(translate.parts.backbone.tokenizer(text := "a" * n).input_ids) == limit
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translate(["abc", fits])
    with pytest.warns(UserWarning, match=f"text 3 is longer than the {limit} pieces") as told:
        translate(["abc", fits, fits + "a", fits + "ab"])
    assert len(told) == 1
    with pytest.warns(UserWarning, match="text 1 is longer") as told_of_stream:
        list(translate(text for text in [fits + "a"]))
    assert told[0].filename == told_of_stream[0].filename == __file__


def test_batches_hold_like_lengths_and_waste_little() -> None:
    texts = ["aaaa", "", "a", "aaa", "aa", " ", "a", "aa"]
    keys = ["x", "x", "y", "x", "x", "y", "x", "x"]
    found = list(batches_of(texts, keys, rows=4, together=True))
    assert found == [{"y": [2], "x": [6, 4]}, {"x": [7, 3, 0]}]
    assert list(batches_of(texts, keys, rows=4, together=False)) == [{"y": [2]}, {"x": [6, 4, 7, 3]}, {"x": [0]}]
    many = list(batches_of(["a"] * 5, list("vwxyz"), rows=2, together=True))
    assert [len(batch) for batch in many] == [2, 2, 1]
