"""A language that a pretrained model has no code for, in every family: add, save, open elsewhere, adapt, give to peft."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from real_formats import BEFORE, LANGUAGES
from safetensors.torch import load_file
from torch.nn import functional as F

from metanlp.adaptation import adapt, adaptation_folder, load_adaptation
from metanlp.backbones._additions import add_languages, make_rows
from metanlp.batch import IGNORED
from metanlp.config.languages import Additions
from metanlp.config.load import build_recipe
from metanlp.data.types import Example, Prompt
from metanlp.errors import UserError
from metanlp.pipelines.factory import pipeline
from metanlp.registry import BACKBONES
from metanlp.run import Run
from metanlp.training import meta_train

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses:UserWarning")  # Marian says it
NEW = {
    "nllb": "tyv_Cyrl",
    "mbart50": "tyv_CY",
    "m2m100": "tyv",
    "marian": "tyv",
    "t5": "tin",
    "mt5": "tin",
    "byt5": "tyv",
}
LIKE = {"nllb": "quy_Latn", "mbart50": "fr_XX", "m2m100": "zu", "marian": "mri"}
everyone = pytest.mark.parametrize("name", NEW)
coded = pytest.mark.parametrize("name", LIKE)
SOURCES = ["the cat sat on the mat", "bread", "a small bird sings", "we went to the old garden"]
TARGETS = ["wasi ukupi misi tiyan", "misi", "ki te kainga", "ukupi tiyan te ngeru"]
ELSEWHERE = """
import sys, warnings, torch
from pathlib import Path
from safetensors.torch import save_file
sys.path.insert(0, sys.argv[1])
warnings.filterwarnings("ignore")
from test_additions import NEW, rows_of
from metanlp.registry import BACKBONES
for name in NEW:
    backbone = BACKBONES.get("seq2seq")(model="not-needed").open(str(Path(sys.argv[2]) / name))
    batch = backbone.encode([rows_of(name)])
    backbone.model.eval()
    with torch.no_grad():
        logits = backbone.model(**batch.inputs).logits
    save_file({**batch.inputs, "labels": batch.labels, "logits": logits}, f"{sys.argv[2]}/{name}.safetensors")
"""


def rows_of(name: str, code: str = "") -> list[Prompt]:
    """Rows into the new language, or that of `code`."""
    target = code or NEW[name]
    source = LANGUAGES[name][0] if name in LANGUAGES else None
    begin = f"{target} " if BEFORE[name] == "none" else ""
    return [Prompt(begin + text, other, source, target) for text, other in zip(SOURCES, TARGETS, strict=True)]


def logits_of(model: Any, batch: Any) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(**batch.inputs).logits


@pytest.fixture
def seq2seq(folder_of: Callable[[str], Path]) -> Callable[[str], Any]:
    return lambda name: BACKBONES.get("seq2seq")(model=str(folder_of(name)))


def extended(options: Any, languages: dict[str, str | None]) -> tuple[Any, dict]:
    """A backbone with new codes that has never been saved, and the rows that they start from."""
    backbone = options.open(options.model)
    starts = add_languages(backbone.tokenizer, languages)
    make_rows(backbone.model, starts)
    return type(backbone)(backbone.model, backbone.tokenizer, 64, new_rows=sorted(starts)), starts


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


def recipe_of(name: str, model: Path, folder: Path, **changes: Any) -> Any:
    """Two training languages and, as a test task, the new one."""
    codes = {"marian": (None, "deu", "mri"), "t5": (None, "deu", "mri")}
    source, first, second = LANGUAGES.get(name) or codes.get(name, codes["t5"])
    facts = "family: translation\nlicence: CC0\nsource: made by a test\nparallel: false\ntasks:\n"
    for split, task, code in (("train", "one", first), ("train", "two", second), ("test", "new", NEW[name])):
        (folder / "tasks" / split).mkdir(parents=True, exist_ok=True)
        lines = [f"{left} {task}\t{right}" for left, right in zip(SOURCES * 2, TARGETS * 2, strict=True)]
        lines = [f"{line} {number}" for number, line in enumerate(lines)]
        (folder / "tasks" / split / f"{task}.tsv").write_text(
            "source\ttarget\n" + "".join(f"{each}\n" for each in lines)
        )
        languages = {key: value for key, value in (("source_language", source), ("target_language", code)) if value}
        facts += f"  {task}: {json.dumps(languages)}\n"
    (folder / "tasks" / "collection.yaml").write_text(facts)
    like = {"like": LIKE[name]} if name in LIKE else {}
    raw = {
        "task": {"kind": "translation", "collection": str(folder / "tasks"), "new_languages": {NEW[name]: like}},
        "backbone": {"kind": "seq2seq", "model": str(model), "max_length": 64},
        "fast_weights": {"kind": "lora", "r": 2},
        "trackers": [],
        "stages": {
            "meta": {
                "algorithm": {"kind": "fomaml", "inner_steps": 1},
                "train": {"steps": 1, "meta_batch": 2, "support": 2, "query": 2},
            }
        },
        "adapting": {"steps": 6, "learning_rate": 2e-2},
    }
    if BEFORE[name] == "none":
        raw["task"]["prompt"] = "{target_language} {source}"
    raw["task"].update(changes.pop("task", {}))
    return build_recipe({**raw, **changes})


@everyone
def test_one_line_of_a_recipe_is_enough(name: str, folder_of, tmp_path: Path) -> None:
    """Train, adapt to the new language, translate into it, and give the adapter to plain peft."""
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    run = Run.open(meta_train(recipe_of(name, folder_of(name), tmp_path), tmp_path / "run"))
    parts = run.trained("cpu")
    home = AutoModelForSeq2SeqLM.from_pretrained(run.own_base)
    examples = [Example(source, target) for source, target in zip(SOURCES, TARGETS, strict=True)]
    info = {key: value for key, value in (("source_language", rows_of(name)[0].source_language),) if value}
    adapt(run, examples, name="new", info={**info, "target_language": NEW[name]}, parts=parts)
    _, weights = load_adaptation(run, parts, "new")
    batch = parts.backbone.encode([rows_of(name)])
    losses = {0: parts.learner.losses(parts.learner.spread(1), batch), 6: parts.learner.losses(weights, batch)}
    assert losses[6] < losses[0]

    rows = [weights[key] for key in weights if "token_adapter" in key]
    assert [tensor.shape[:2] for tensor in rows] == [(1, 1)] * (name in LIKE)
    table = home.get_input_embeddings().weight
    kept = parts.learner.model.get_input_embeddings().weight
    assert torch.equal(kept, table)  # the base is as it was
    if name in LIKE:
        started = parts.learner.slow()[next(key for key in weights if "token_adapter" in key)]
        assert torch.equal(started[0], table[parts.backbone.new_rows[0]])  # no training text has the new code
        assert not torch.equal(rows[0][0, 0], started[0])

    folder = adaptation_folder(run, "new")
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    own = tmp_path / "run" / "backbone"  # only where something is new in the model
    assert Path(base) == (own.resolve() if name in LIKE else folder_of(name))
    assert own.exists() == (name in LIKE)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40_000
    plain = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(base), str(folder)).eval()
    with parts.learner.using(weights) as model:
        wanted = model(**batch.inputs).logits
    torch.testing.assert_close(logits_of(plain, batch), wanted, rtol=0, atol=1e-6)
    with plain.disable_adapter():
        assert torch.equal(logits_of(plain, batch), logits_of(home, batch))
    assert AutoTokenizer.from_pretrained(base).get_vocab() == parts.backbone.tokenizer.get_vocab()

    (found,) = pipeline("translation", run, adaptation="new", device="cpu")(
        "the old cat", max_new_tokens=6, num_beams=2
    )
    assert isinstance(found["translation_text"], str)
    assert not any(mark in found["translation_text"] for mark in ("tyv", "__", ">>"))


def test_full_weights_take_the_row_along(folder_of, tmp_path: Path) -> None:
    """The model's folder is the base of another run or stage, which knows the code and its row without being told."""
    recipe = recipe_of("m2m100", folder_of("m2m100"), tmp_path, fast_weights="full")
    run = Run.open(meta_train(recipe, tmp_path / "run"))
    again = BACKBONES.get("seq2seq")(model=str(run.model)).open(str(run.model))
    ours = run.trained("cpu").backbone
    assert again.languages.ids["tyv"] == ours.languages.ids["tyv"]
    assert list(again.new_rows) == list(ours.new_rows) == [ours.languages.ids["tyv"]]
    part = recipe_of("m2m100", folder_of("m2m100"), tmp_path, fast_weights={"kind": "full", "match": "fc1"})
    with pytest.raises(UserError, match="leaves the embedding out: new languages and pieces would learn nothing"):
        Run.create(part, tmp_path / "other").build("cpu")


def test_a_row_learns_from_the_texts_that_it_stands_in(folder_of, tmp_path: Path) -> None:
    """Two tasks, one of which has the new code: its gradient is autograd's own, the other's row stays."""
    recipe = recipe_of("nllb", folder_of("nllb"), tmp_path)
    parts = Run.create(recipe, tmp_path / "run").build("cpu")
    (name,) = [key for key in parts.learner.slow() if "token_adapter" in key]
    batch = parts.backbone.encode([rows_of("nllb"), rows_of("nllb", "quy_Latn")])
    _, grads = parts.learner.losses_and_grads(parts.learner.spread(2), batch)
    assert not grads[name][1].any()

    plain = recipe.backbone.open(str(tmp_path / "run" / "backbone"))
    alone = plain.encode([rows_of("nllb")])
    logits = plain.model.train()(**alone.inputs).logits
    F.cross_entropy(logits.flatten(0, 1), alone.labels.flatten(), ignore_index=IGNORED).backward()
    wanted = plain.model.get_input_embeddings().weight.grad[plain.new_rows]
    torch.testing.assert_close(grads[name][0], wanted, rtol=0, atol=1e-6)
    assert wanted.abs().max() > 1e-3


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
