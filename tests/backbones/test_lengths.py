"""Texts that are too long: cut, told, and never longer than the model has positions."""

from __future__ import annotations

import pytest
import torch
from real_formats import marian_asks
from seq2seq_rows import by_tokenizer, everyone, prompts

from metanlp.data.types import Prompt

pytestmark = marian_asks


@everyone
def test_long_texts_are_cut_and_still_end(name: str, open_seq2seq) -> None:
    backbone = open_seq2seq(name, max_length=8)
    row = prompts(name)[3]
    batch = backbone.encode([[Prompt(row.input * 9, row.output * 9, row.source_language, row.target_language)]])
    assert batch.labels.shape[1] == 8
    assert batch.inputs["input_ids"].shape[1] == 8
    eos = backbone.tokenizer.eos_token_id
    assert int(batch.labels[0, -1]) == eos
    assert int(batch.inputs["input_ids"][0, -1]) == eos


@pytest.mark.parametrize("side", ["source", "target"])
@everyone
def test_cut_is_what_has_more_pieces_by_the_tokenizers_own_count(name: str, side: str, open_seq2seq) -> None:
    """More than the second shortest text has, codes and marks among them."""
    backbone, rows = open_seq2seq(name), prompts(name)
    counts = [len(by_tokenizer(backbone, row)[side == "target"]) for row in rows]
    room = sorted(counts)[1]
    found = open_seq2seq(name, max_length=room).cut(rows, side, max_new_tokens=99)
    assert found == [count > room for count in counts]
    assert set(found) == {True, False}


def test_cut_by_hand(open_seq2seq) -> None:
    """A piece is a byte, and one ends the text; what is written takes no room from what is read."""
    backbone = open_seq2seq("byt5", max_length=8)
    rows = [
        Prompt("1234567", "12345678"),
        Prompt("12345678", "1234567"),
        Prompt("äö1ü", "äöüß"),
        Prompt("", ""),
    ]
    assert backbone.cut(rows) == backbone.cut(rows, max_new_tokens=5) == [False, True, False, False]
    assert backbone.cut(rows, "target") == [True, False, True, False]


@everyone
def test_nothing_is_longer_than_the_model_has_positions(name: str, open_seq2seq) -> None:
    backbone = open_seq2seq(name, max_length=512)
    row = prompts(name)[3]
    long = Prompt(row.input * 40, row.output * 40, row.source_language, row.target_language)
    batch = backbone.encode([[long]])
    with torch.no_grad():
        assert torch.isfinite(backbone.model(**batch.inputs).logits).all()
    backbone.model.generation_config.eos_token_id = None
    assert len(backbone.generate([[row]], max_new_tokens=100)[0]) == 1
