"""Encoding and generation against Hugging Face's own way of calling each model class."""

from __future__ import annotations

import pytest
import torch
from real_formats import LANGUAGES, marian_asks
from seq2seq_rows import by_tokenizer, everyone, prompts
from torch.nn import functional as F

from metanlp.batch import IGNORED
from metanlp.data.types import Prompt
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner

pytestmark = marian_asks


@everyone
def test_rows_are_the_tokenizers_own(name: str, open_seq2seq) -> None:
    backbone, rows = open_seq2seq(name), prompts(name)
    batch = backbone.encode([rows[:2], rows[2:]])
    assert batch.tasks == 2
    for index, row in enumerate(rows):
        source, target = by_tokenizer(backbone, row)
        assert batch.inputs["input_ids"][index][batch.inputs["attention_mask"][index].bool()].tolist() == source
        assert batch.labels[index][batch.labels[index] != IGNORED].tolist() == target
        padding = batch.inputs["input_ids"][index][~batch.inputs["attention_mask"][index].bool()]
        assert set(padding.tolist()) <= {backbone.tokenizer.pad_token_id}
        if row.source_language is not None:
            assert backbone.languages.id_of(row.source_language) in source
            assert backbone.languages.id_of(row.target_language) in target


@everyone
def test_decoder_inputs_and_loss_are_the_models_own(name: str, open_seq2seq) -> None:
    """The model, given labels alone, shifts them itself."""
    backbone, rows = open_seq2seq(name), prompts(name)
    batch = backbone.encode([rows])
    seen = []
    decoder = backbone.model.get_decoder()
    handle = decoder.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    with torch.no_grad():
        inputs = {key: batch.inputs[key] for key in ("input_ids", "attention_mask")}
        wanted = backbone.model(**inputs, labels=batch.labels).loss
        logits = backbone.model(**batch.inputs).logits
    handle.remove()
    kept = batch.labels != IGNORED  # what stands under padding is read by nobody
    assert torch.equal(seen[0][kept], batch.inputs["decoder_input_ids"][kept])
    found = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


@everyone
def test_the_learners_losses_are_the_models_own_by_task(name: str, open_seq2seq) -> None:
    backbone, rows = open_seq2seq(name), prompts(name)
    learner = Learner(backbone.model, Lora(r=2).attach(backbone.model, 0))
    losses = learner.losses(learner.spread(2), backbone.encode([rows[:2], rows[2:]]))
    for index, part in enumerate((rows[:2], rows[2:])):
        batch = backbone.encode([part])
        with torch.no_grad():
            inputs = {key: batch.inputs[key] for key in ("input_ids", "attention_mask")}
            wanted = backbone.model(**inputs, labels=batch.labels).loss
        torch.testing.assert_close(losses[index], wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("beams", [1, 3])
@everyone
def test_it_writes_what_the_model_writes_row_by_row(name: str, beams: int, open_seq2seq) -> None:
    """Hugging Face's way: one text, the target language forced as the first piece."""
    backbone, rows = open_seq2seq(name), prompts(name)
    with torch.no_grad():
        written = backbone.generate([rows[:2], rows[2:]], beams=beams, max_new_tokens=6)
    wanted, first_pieces = [], []
    for row in rows:
        ids, _ = by_tokenizer(backbone, row)
        language = (
            {}
            if row.source_language is None
            else {"forced_bos_token_id": backbone.languages.id_of(row.target_language)}
        )
        more = 1 if language else 0  # there the language's own piece counts as new
        out = backbone.model.generate(
            torch.tensor([ids]), num_beams=beams, do_sample=False, max_new_tokens=6 + more, max_length=None, **language
        )
        first_pieces.append(int(out[0, 1]))
        wanted.append(backbone.tokenizer.decode(out[0], skip_special_tokens=True, clean_up_tokenization_spaces=False))
    assert [text for task in written for text in task] == wanted
    if name in LANGUAGES:
        assert first_pieces == [backbone.languages.id_of(row.target_language) for row in rows]
        assert len(set(first_pieces)) == 2


@everyone
def test_empty_texts_are_texts(name: str, open_seq2seq) -> None:
    backbone, row = open_seq2seq(name), prompts(name)[0]
    batch = backbone.encode([[Prompt("", "", row.source_language, row.target_language), row]])
    with torch.no_grad():
        assert torch.isfinite(backbone.model(**batch.inputs).logits).all()
    assert (
        len(backbone.generate([[Prompt("", "", row.source_language, row.target_language)]], max_new_tokens=3)[0]) == 1
    )
