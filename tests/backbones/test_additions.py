"""A new language's code and row, in every family: nothing old changes, and all is the same elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from new_language import LIKE, NEW, everyone, extended, logits_of, rows_of
from real_formats import LANGUAGES, marian_asks
from safetensors.torch import load_file

from metanlp.backbones._additions import add_languages
from metanlp.config.languages import Additions
from metanlp.errors import UserError
from metanlp.run import Run

pytestmark = marian_asks
coded = pytest.mark.parametrize("name", LIKE)
ELSEWHERE = """
import sys, warnings, torch
from pathlib import Path
from safetensors.torch import save_file
sys.path.insert(0, sys.argv[1])
warnings.filterwarnings("ignore")
from new_language import NEW, rows_of
from metanlp.registry import BACKBONES
for name in NEW:
    backbone = BACKBONES.get("seq2seq")(model="not-needed").open(str(Path(sys.argv[2]) / name))
    batch = backbone.encode([rows_of(name)])
    backbone.model.eval()
    with torch.no_grad():
        logits = backbone.model(**batch.inputs).logits
    save_file({**batch.inputs, "labels": batch.labels, "logits": logits}, f"{sys.argv[2]}/{name}.safetensors")
"""


@everyone
def test_nothing_old_changes(name: str, seq2seq) -> None:
    """Ids, hidden states and logits of what the model knew are equal, bit by bit."""
    options = seq2seq(name)
    old = options.open(options.model)
    new, _ = extended(options, {NEW[name]: LIKE.get(name)})
    before, after = old.tokenizer.get_vocab(), new.tokenizer.get_vocab()
    assert {piece: after[piece] for piece in before} == before
    assert set(old.tokenizer.all_special_tokens) <= set(new.tokenizer.all_special_tokens)
    assert {code: new.languages.ids[code] for code in old.languages.ids} == dict(old.languages.ids)
    known = {"marian": "deu", "t5": "tin", "mt5": "tin", "byt5": "tyv"}.get(name) or LANGUAGES[name][1]
    first, second = old.encode([rows_of(name, known)]), new.encode([rows_of(name, known)])
    assert all(torch.equal(first.inputs[key], second.inputs[key]) for key in first.inputs)
    pieces = max(before.values()) + 1  # T5 and M2M100 have rows besides, of which the new ones are
    wanted, found = logits_of(old.model, first), logits_of(new.model, second)
    assert torch.equal(found[..., :pieces], wanted[..., :pieces])
    positions = {key: tensor for key, tensor in old.model.named_buffers() if "position" in key}
    assert all(torch.equal(new.model.get_buffer(key), tensor) for key, tensor in positions.items())
    assert bool(positions) == (name in ("nllb", "m2m100")), "sinusoidal ones are buffers"


@coded
@pytest.mark.parametrize("given", [True, False])
def test_the_new_row_is_the_related_languages_or_the_mean_of_all(name: str, given: bool, seq2seq) -> None:
    options = seq2seq(name)
    old = options.open(options.model)
    bias = getattr(old.model, "final_logits_bias", None)
    new, starts = extended(options, {NEW[name]: LIKE[name] if given else None})
    (row,) = starts
    assert row == new.languages.ids[NEW[name]] not in old.languages.ids.values()
    table = old.model.get_input_embeddings().weight
    ids = [old.languages.ids[LIKE[name]]] if given else list(old.languages.ids.values())
    wanted = sum(table[index] for index in ids) / len(ids)
    torch.testing.assert_close(new.model.get_input_embeddings().weight[row], wanted, rtol=0, atol=1e-6 * (not given))
    assert new.model.get_output_embeddings().weight is new.model.get_input_embeddings().weight
    assert bias is None or new.model.final_logits_bias.shape[1] == new.model.config.vocab_size > bias.shape[1]
    if given:  # before anything is learnt the new language is read and written as its relative
        like, own = new.encode([rows_of(name, LIKE[name])]), new.encode([rows_of(name)])
        assert torch.equal(logits_of(new.model, like), logits_of(new.model, own))


def test_all_is_the_same_in_another_process(seq2seq, tmp_path: Path) -> None:
    for name in NEW:
        options = seq2seq(name)
        new = options.extend(Additions({NEW[name]: LIKE.get(name)}))
        assert bool(new) == (name in LIKE)
        (new or options.open(options.model)).save(tmp_path / name)
    command = [sys.executable, "-c", ELSEWHERE, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in NEW:
        new, _ = extended(seq2seq(name), {NEW[name]: LIKE.get(name)})
        batch, found = new.encode([rows_of(name)]), load_file(tmp_path / f"{name}.safetensors")
        for key, tensor in {**batch.inputs, "labels": batch.labels, "logits": logits_of(new.model, batch)}.items():
            assert torch.equal(found[key], tensor), f"{name}: {key}"
        unknown = new.tokenizer.unk_token_id
        assert unknown is None or unknown not in batch.inputs["input_ids"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "languages", "said"),
        [
            ("nllb", {"tyv_Cyrl": "quy_Latin"}, r"tyv_Cyrl is to be like 'quy_Latin'.*did you mean 'quy_Latn'"),
            ("nllb", {"tyv_Cyrl": "deu"}, r"did you mean 'deu_Latn'"),
            ("m2m100", {"tyv": "zuu"}, r"did you mean 'zu'"),
            ("nllb", {"quy_Latn": None}, r"the tokenizer knows quy_Latn already"),
            ("nllb", {"two words": None}, r"'two words' cannot be a code: write it as the others, such as ace_Arab"),
            (
                "mt5",
                {"tin": "deu"},
                r"no language codes, so no row to start from: .*\{target_language\} in task.prompt",
            ),
            ("mt5", {"тыва": None}, r"'тыва' has letters that the tokenizer does not know"),
            ("nllb", {"a b": None, "tyv_Cyrl": "x"}, r"task.new_languages: 2 problems"),
        ],
    )
    def test_what_cannot_be_added(self, name: str, languages: dict, said: str, seq2seq) -> None:
        with pytest.raises(UserError, match=said):
            extended(seq2seq(name), languages)

    def test_a_code_that_is_a_piece_of_words(self, seq2seq) -> None:
        options = seq2seq("nllb")
        vocabulary = options.open(options.model).tokenizer.get_vocab()
        piece = next(piece for piece in vocabulary if piece.isascii() and piece.isalpha() and len(piece) > 1)
        with pytest.raises(UserError, match=f"'{piece}' cannot be a code"):
            extended(options, {piece: None})

    def test_a_misspelt_new_code_is_refused_as_any_other(self, seq2seq) -> None:
        new, _ = extended(seq2seq("nllb"), {"tyv_Cyrl": None})
        with pytest.raises(UserError, match=r"no language 'tyv_Cyr' \(did you mean 'tyv_Cyrl'\?\)"):
            new.encode([rows_of("nllb", "tyv_Cyr")])

    def test_a_relative_without_its_word(self, make_recipe) -> None:
        with pytest.raises(UserError, match=r"tyv_Cyrl is 'kaz_Cyrl'; write \{tyv_Cyrl: \{like: kaz_Cyrl\}\}"):
            make_recipe("task.new_languages.tyv_Cyrl=kaz_Cyrl")

    def test_a_small_model_needs_none(self, collection: Path, make_recipe, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="are for pretrained models: `tiny` learns its pieces"):
            Run.create(make_recipe("task.new_languages.tyv={}"), tmp_path / "run").prepare()


def test_m2m100_without_its_codes_as_special_tokens_keeps_their_numbers(folder_of, tmp_path: Path) -> None:
    """As its tokenizer is when made of vocabulary and sentencepiece model alone: the first of the table is __af__."""
    from transformers import M2M100Tokenizer

    where = folder_of("m2m100")
    tokenizer = M2M100Tokenizer(str(where / "vocab.json"), str(where / "sentencepiece.bpe.model"))
    numbers = {code: tokenizer.get_lang_id(code) for code in tokenizer.lang_code_to_token}
    (new,) = add_languages(tokenizer, {"tyv": None})
    assert new not in numbers.values()
    tokenizer.save_pretrained(tmp_path)
    again = M2M100Tokenizer.from_pretrained(tmp_path)
    assert again.convert_tokens_to_ids("__tyv__") == new
    assert {code: again.get_lang_id(code) for code in numbers} == numbers
