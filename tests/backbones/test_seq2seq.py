"""Encoding and generation against Hugging Face's own way of calling each model class."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from real_formats import BEFORE, BUILDERS, LANGUAGES
from torch.nn import functional as F

from metanlp.batch import IGNORED
from metanlp.data.types import Prompt
from metanlp.errors import UserError
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner
from metanlp.registry import BACKBONES

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses:UserWarning")  # Marian says it
everyone = pytest.mark.parametrize("name", BUILDERS)
with_languages = pytest.mark.parametrize("name", LANGUAGES)
TEXTS = [
    ("the cat sat on the mat", "der alte Mann"),
    ("a small bird", "ki te kainga te ngeru"),
    ("bread", "wasi ukupi"),
    ("we went to the old garden", "im Garten singt ein kleiner Vogel"),
]


@pytest.fixture
def open_backbone(folder_of: Callable[[str], Path]) -> Callable[..., Any]:
    def opened(name: str, **options: Any) -> Any:
        folder = folder_of(name)
        backbone = BACKBONES.get("seq2seq")(model=str(folder), **options).open(str(folder))
        backbone.model.eval()
        return backbone

    return opened


def prompts(name: str) -> list[Prompt]:
    """The rows of two tasks, in different target languages where the model has them."""
    if BEFORE[name] == "none":
        return [Prompt(source, target) for source, target in TEXTS]
    source_language, first, second = (None, "deu", "mri") if name == "marian" else LANGUAGES[name]
    targets = (first, first, second, second)
    return [
        Prompt(source, target, source_language, code) for (source, target), code in zip(TEXTS, targets, strict=True)
    ]


def by_tokenizer(backbone: Any, row: Prompt) -> tuple[list[int], list[int]]:
    """Ids of source and target as the tokenizer gives them for one text in its languages."""
    tokenizer, text = backbone.tokenizer, row.input
    if row.source_language is not None:
        tokenizer.src_lang, tokenizer.tgt_lang = row.source_language, row.target_language
    elif row.target_language is not None:  # Marian's code is part of the text
        text = f">>{row.target_language}<< {text}"
    encoded = tokenizer(text, text_target=row.output)
    return encoded["input_ids"], encoded["labels"]


@everyone
def test_it_knows_which_tokenizers_have_languages(name: str, open_backbone) -> None:
    assert open_backbone(name).languages.before == BEFORE[name]


@everyone
def test_rows_are_the_tokenizers_own(name: str, open_backbone) -> None:
    backbone, rows = open_backbone(name), prompts(name)
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
def test_decoder_inputs_and_loss_are_the_models_own(name: str, open_backbone) -> None:
    """The model, given labels alone, shifts them itself."""
    backbone, rows = open_backbone(name), prompts(name)
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
def test_the_learners_losses_are_the_models_own_by_task(name: str, open_backbone) -> None:
    backbone, rows = open_backbone(name), prompts(name)
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
def test_it_writes_what_the_model_writes_row_by_row(name: str, beams: int, open_backbone) -> None:
    """Hugging Face's way: one text, the target language forced as the first piece."""
    backbone, rows = open_backbone(name), prompts(name)
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


@with_languages
def test_every_row_is_written_in_its_own_language(name: str, open_backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the model's own settings would force another one."""
    backbone, rows = open_backbone(name), prompts(name)
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
def test_an_unknown_language_is_refused_with_the_nearest_code(name: str, side: str, open_backbone) -> None:
    backbone = open_backbone(name)
    wrong, right = {"m2m100": ("zuu", "zu"), "nllb": ("quy_Latin", "quy_Latn"), "mbart50": ("de_DA", "de_DE")}[name]
    first, second, _ = LANGUAGES[name]
    codes = {"source_language": first, "target_language": second, side: wrong}
    with pytest.raises(UserError, match=f"no language {wrong!r}.*{right!r}"):
        backbone.encode([[Prompt("bread", "bread", **codes)]])
    codes[side] = None
    with pytest.raises(UserError, match=side):
        backbone.encode([[Prompt("bread", "bread", **codes)]])


def test_marian_takes_the_targets_code_and_one_that_the_prompt_begins_with(open_backbone) -> None:
    backbone = open_backbone("marian")
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


def test_a_bare_language_finds_its_code_with_a_script(open_backbone) -> None:
    with pytest.raises(UserError, match=r"did you mean 'deu_Latn'"):
        open_backbone("nllb").languages.id_of("deu")


@with_languages
def test_special_pieces_are_no_languages(name: str, open_backbone) -> None:
    backbone = open_backbone(name)
    for piece in (*backbone.tokenizer.all_special_tokens[:5], "<mask>", "<unk>", "the", ""):
        if piece not in backbone.languages.ids:
            with pytest.raises(UserError):
                backbone.languages.id_of(piece)
    assert not {"<s>", "</s>", "<pad>", "<unk>", "<mask>"} & set(backbone.languages.ids)
    unknown = backbone.tokenizer.unk_token_id
    ids = list(backbone.languages.ids.values())
    assert unknown not in ids
    assert len(set(ids)) == len(ids) >= 50


@everyone
def test_long_texts_are_cut_and_still_end(name: str, open_backbone) -> None:
    backbone = open_backbone(name, max_length=8)
    row = prompts(name)[3]
    batch = backbone.encode([[Prompt(row.input * 9, row.output * 9, row.source_language, row.target_language)]])
    assert batch.labels.shape[1] == 8
    assert batch.inputs["input_ids"].shape[1] == 8
    eos = backbone.tokenizer.eos_token_id
    assert int(batch.labels[0, -1]) == eos
    assert int(batch.inputs["input_ids"][0, -1]) == eos


@pytest.mark.parametrize("side", ["source", "target"])
@everyone
def test_cut_is_what_has_more_pieces_by_the_tokenizers_own_count(name: str, side: str, open_backbone) -> None:
    """More than the second shortest text has, codes and marks among them."""
    backbone, rows = open_backbone(name), prompts(name)
    counts = [len(by_tokenizer(backbone, row)[side == "target"]) for row in rows]
    room = sorted(counts)[1]
    found = open_backbone(name, max_length=room).cut(rows, side, max_new_tokens=99)
    assert found == [count > room for count in counts]
    assert set(found) == {True, False}


def test_cut_by_hand(open_backbone) -> None:
    """A piece is a byte, and one ends the text; what is written takes no room from what is read."""
    backbone = open_backbone("byt5", max_length=8)
    rows = [
        Prompt("1234567", "12345678"),
        Prompt("12345678", "1234567"),
        Prompt("äö1ü", "äöüß"),
        Prompt("", ""),
    ]
    assert backbone.cut(rows) == backbone.cut(rows, max_new_tokens=5) == [False, True, False, False]
    assert backbone.cut(rows, "target") == [True, False, True, False]


@everyone
def test_nothing_is_longer_than_the_model_has_positions(name: str, open_backbone) -> None:
    backbone = open_backbone(name, max_length=512)
    row = prompts(name)[3]
    long = Prompt(row.input * 40, row.output * 40, row.source_language, row.target_language)
    batch = backbone.encode([[long]])
    with torch.no_grad():
        assert torch.isfinite(backbone.model(**batch.inputs).logits).all()
    backbone.model.generation_config.eos_token_id = None
    assert len(backbone.generate([[row]], max_new_tokens=100)[0]) == 1


@everyone
def test_empty_texts_are_texts(name: str, open_backbone) -> None:
    backbone, row = open_backbone(name), prompts(name)[0]
    batch = backbone.encode([[Prompt("", "", row.source_language, row.target_language), row]])
    with torch.no_grad():
        assert torch.isfinite(backbone.model(**batch.inputs).logits).all()
    assert (
        len(backbone.generate([[Prompt("", "", row.source_language, row.target_language)]], max_new_tokens=3)[0]) == 1
    )


@everyone
def test_a_saved_folder_opens_elsewhere_as_the_same(name: str, open_backbone, tmp_path: Path) -> None:
    backbone, rows = open_backbone(name), prompts(name)
    backbone.save(tmp_path / "saved")
    again = BACKBONES.get("seq2seq")(model=str(tmp_path / "saved")).open(str(tmp_path / "saved"))
    again.model.eval()
    first, second = backbone.encode([rows]), again.encode([rows])
    assert torch.equal(first.labels, second.labels)
    for key in first.inputs:
        assert torch.equal(first.inputs[key], second.inputs[key])
    with torch.no_grad():
        assert torch.equal(backbone.model(**first.inputs).logits, again.model(**second.inputs).logits)


def test_a_half_precision_checkpoint_is_opened_in_fp32(folder_of, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    AutoModelForSeq2SeqLM.from_pretrained(folder_of("t5"), dtype=torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder_of("t5")).save_pretrained(tmp_path)
    model = BACKBONES.get("seq2seq")(model=str(tmp_path)).open(str(tmp_path)).model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_no_such_model_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"backbone.model 'no-such/model' is neither a folder nor a reachable Hub model"
    ):
        BACKBONES.get("seq2seq")(model="no-such/model").open("no-such/model")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"backbone.model"):
        BACKBONES.get("seq2seq")(model=str(tmp_path)).open(str(tmp_path))


def test_code_of_strangers_is_not_run(folder_of, tmp_path: Path) -> None:
    """A folder that brings its own modelling code is refused, not asked about on the terminal."""
    import json
    import shutil

    shutil.copytree(folder_of("t5"), tmp_path / "evil")
    config = json.loads((tmp_path / "evil/config.json").read_text())
    config.update(model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModelForSeq2SeqLM": "evil.Evil"})
    (tmp_path / "evil/config.json").write_text(json.dumps(config))
    (tmp_path / "evil/evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('ran')\nclass Evil: pass\n")
    code = "import sys\nfrom metanlp.registry import BACKBONES\nBACKBONES.get('seq2seq')(model=sys.argv[1]).open(sys.argv[1])"
    asked = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "evil")], input="y\n", capture_output=True, text=True, timeout=60
    )
    assert asked.returncode != 0
    assert "UserError" in asked.stderr
    assert not (tmp_path / "ran").exists()
