"""Codes of languages: who has them, which are refused, and that every row is written in its own."""

from __future__ import annotations

import pytest
import torch
from real_formats import BEFORE, LANGUAGES, marian_asks
from seq2seq_rows import everyone, prompts, with_languages

from metanlp.data.types import Prompt
from metanlp.errors import UserError

pytestmark = marian_asks


@everyone
def test_it_knows_which_tokenizers_have_languages(name: str, open_seq2seq) -> None:
    assert open_seq2seq(name).languages.before == BEFORE[name]


@with_languages
def test_every_row_is_written_in_its_own_language(name: str, open_seq2seq, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the model's own settings would force another one."""
    backbone, rows = open_seq2seq(name), prompts(name)
    backbone.model.generation_config.forced_bos_token_id = backbone.languages.id_of(LANGUAGES[name][0])
    decoded = []
    decode = backbone.tokenizer.batch_decode
    monkeypatch.setattr(
        backbone.tokenizer, "batch_decode", lambda ids, **options: decoded.append(ids) or decode(ids, **options)
    )
    texts = backbone.generate([rows], max_new_tokens=4)[0]
    assert decoded[0][:, 1].tolist() == [backbone.languages.id_of(row.target_language) for row in rows]
    assert not any(code in text for text in texts for code in LANGUAGES[name] if len(code) > 2)
    assert not any("__" in text for text in texts)


@with_languages
@pytest.mark.parametrize("side", ["source_language", "target_language"])
def test_an_unknown_language_is_refused_with_the_nearest_code(name: str, side: str, open_seq2seq) -> None:
    backbone = open_seq2seq(name)
    wrong, right = {"m2m100": ("zuu", "zu"), "nllb": ("quy_Latin", "quy_Latn"), "mbart50": ("de_DA", "de_DE")}[name]
    first, second, _ = LANGUAGES[name]
    codes = {"source_language": first, "target_language": second, side: wrong}
    with pytest.raises(UserError, match=f"no language {wrong!r}.*{right!r}"):
        backbone.encode([[Prompt("bread", "bread", **codes)]])
    codes[side] = None
    with pytest.raises(UserError, match=side):
        backbone.encode([[Prompt("bread", "bread", **codes)]])


def test_marian_takes_the_targets_code_and_one_that_the_prompt_begins_with(open_seq2seq) -> None:
    backbone = open_seq2seq("marian")
    named, by_hand = Prompt("bread", "Brot", None, "deu"), Prompt(">>deu<< bread", "Brot")
    first, second = backbone.encode([[named]]), backbone.encode([[by_hand]])
    assert torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])
    assert first.inputs["input_ids"][0, 0] == backbone.tokenizer.convert_tokens_to_ids(">>deu<<")
    for wrong in (Prompt("bread", "Brot", None, "deo"), Prompt(">>deo<< bread", "Brot")):
        with pytest.raises(
            UserError, match=r"no language 'deo' \(did you mean 'deu'\?\); give a task's target_language"
        ):
            backbone.encode([[wrong]])
    with pytest.raises(UserError, match="no language None"):
        backbone.encode([[Prompt("bread", "Brot")]])


def test_a_bare_language_finds_its_code_with_a_script(open_seq2seq) -> None:
    with pytest.raises(UserError, match=r"did you mean 'deu_Latn'"):
        open_seq2seq("nllb").languages.id_of("deu")


@with_languages
def test_special_pieces_are_no_languages(name: str, open_seq2seq) -> None:
    backbone = open_seq2seq(name)
    for piece in (*backbone.tokenizer.all_special_tokens[:5], "<mask>", "<unk>", "the", ""):
        if piece not in backbone.languages.ids:
            with pytest.raises(UserError):
                backbone.languages.id_of(piece)
    assert not {"<s>", "</s>", "<pad>", "<unk>", "<mask>"} & set(backbone.languages.ids)
    unknown = backbone.tokenizer.unk_token_id
    ids = list(backbone.languages.ids.values())
    assert unknown not in ids
    assert len(set(ids)) == len(ids) >= 50
