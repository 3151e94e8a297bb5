"""More pieces for a language that the tokenizer cuts into crumbs, and nothing else changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_formats import BUILDERS, SENTENCES, marian_asks

from metanlp.backbones._new_pieces import why_none
from metanlp.config.languages import Additions
from metanlp.config.load import build_recipe
from metanlp.data.types import Prompt
from metanlp.errors import UserError
from metanlp.registry import BACKBONES
from metanlp.run import Run

pytestmark = marian_asks
FAMILIES = ["nllb", "mbart50", "t5", "mt5"]
CODES = {"nllb": "tyv_Cyrl", "mbart50": "tyv_CY"}
everyone = pytest.mark.parametrize("name", FAMILIES)
TEXT = ["тыва дыл чугула", "тыва чоннуң дылы misitikutiyan", "чоннуң wasikutiyan, misitiku", "тываларның wasiku"] * 3
ELSEWHERE = """
import json, sys
from transformers import AutoTokenizer
texts = json.loads(sys.argv[1])
found = [AutoTokenizer.from_pretrained(home)(texts, add_special_tokens=False)["input_ids"] for home in sys.argv[2:]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Any, Path]]:
    """A backbone as it was, with 40 pieces more, and where that one is saved."""
    made: dict[str, tuple[Any, Any, Path]] = {}
    text = tmp_path_factory.mktemp("text") / "tyv.txt"
    text.write_text("\n".join(TEXT), encoding="utf-8")

    def both(name: str) -> tuple[Any, Any, Path]:
        if name not in made:
            model, home = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp(f"{name}-home")
            BUILDERS[name](model)
            options = BACKBONES.get("seq2seq")(model=str(model))
            languages = {CODES[name]: None} if name in CODES else {}
            options.extend(Additions(languages, 40, str(text))).save(home)
            made[name] = options.open(str(model)), options.open(str(home)), home
        return made[name]

    return both


def cut(backbone: Any, text: str) -> list[int]:
    return backbone.tokenizer(text, add_special_tokens=False)["input_ids"]


@everyone
def test_the_language_is_cut_with_them_and_comes_back_whole(name: str, pair) -> None:
    old, new, _ = pair(name)
    assert len(new.new_rows) == 40 + (name in CODES)
    before, after = (sum(len(cut(backbone, text)) for text in TEXT) for backbone in (old, new))
    used = {index for text in TEXT for index in cut(new, text)}
    assert used & set(new.new_rows)
    assert new.tokenizer.unk_token_id not in used
    assert old.tokenizer.unk_token_id in {index for text in TEXT for index in cut(old, text)}
    latin = "misitikutiyan misitiku wasikutiyan"
    assert len(cut(new, latin)) < len(cut(old, latin)) / 2
    assert after < before if name == "nllb" else after  # the others made one unknown piece of a whole word
    for text in TEXT:
        assert new.tokenizer.decode(cut(new, text), clean_up_tokenization_spaces=False) == text
    begin = [piece for piece in new.tokenizer.convert_ids_to_tokens(new.new_rows) if piece.startswith("▁")]
    assert begin, "pieces know where a word begins"


@everyone
def test_what_has_none_of_the_strings_is_cut_as_before(name: str, pair) -> None:
    old, new, _ = pair(name)
    vocabulary = old.tokenizer.get_vocab()
    assert {piece: new.tokenizer.get_vocab()[piece] for piece in vocabulary} == vocabulary
    pieces = new.tokenizer.convert_ids_to_tokens(new.new_rows)
    words = sorted({word for line in SENTENCES for word in line.split()})

    @given(
        st.lists(st.sampled_from([*words, "misi", "tiyan", "wasi", "ж", "1", "?"]), max_size=8),
        st.sampled_from(["", " "]),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def check(chosen: list[str], space: str) -> None:
        text = space.join(chosen) if space else "".join(chosen[:3])
        marked = "▁" + text.replace(" ", "▁")
        if not any(piece in marked for piece in pieces):
            assert cut(old, text) == cut(new, text)

    check()
    for line in SENTENCES[:8]:
        if not any(piece in "▁" + line.replace(" ", "▁") for piece in pieces):
            assert cut(old, line) == cut(new, line)


@everyone
def test_a_row_starts_as_the_mean_of_those_it_replaces(name: str, pair) -> None:
    old, new, _ = pair(name)
    table, rows = old.model.get_input_embeddings().weight, new.model.get_input_embeddings().weight
    checked = 0
    for index in new.new_rows:
        piece = new.tokenizer.convert_ids_to_tokens(index)
        if piece.startswith("▁") and piece.isascii() is False and len(piece) > 3 and piece[1:].isascii():
            parts = cut(old, piece[1:])
            torch.testing.assert_close(rows[index], table[parts].mean(0), rtol=0, atol=1e-6)
            checked += 1
    assert checked
    pieces = max(old.tokenizer.get_vocab().values()) + 1
    assert torch.equal(rows[:pieces], table[:pieces])
    character = new.tokenizer.convert_tokens_to_ids("ң")
    assert torch.equal(rows[character], table[old.tokenizer.unk_token_id])


def test_all_is_the_same_in_another_process(pair) -> None:
    homes = [str(pair(name)[2]) for name in FAMILIES]
    texts = [*TEXT[:4], *SENTENCES[:8]]
    command = [sys.executable, "-c", ELSEWHERE, json.dumps(texts), *homes]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name, found in zip(FAMILIES, json.loads(done.stdout), strict=True):
        assert found == [cut(pair(name)[1], text) for text in texts]


def test_they_are_learnt_by_each_task(pair, tmp_path: Path, collection: Path) -> None:
    """By a recipe: their rows are in the adapter, and move where the text has them."""
    old, _, _ = pair("mt5")
    (tmp_path / "tyv.txt").write_text("\n".join(TEXT), encoding="utf-8")
    recipe = build_recipe(
        {
            "task": {"kind": "translation", "collection": str(collection)},
            "backbone": {"kind": "seq2seq", "model": old.model.name_or_path},
            "fast_weights": {"kind": "lora", "r": 2},
            "stages": {"meta": {"algorithm": "joint"}},
        },
        f"task.new_pieces_from={tmp_path / 'tyv.txt'}",
        "task.new_pieces=20",
    )
    parts = Run.create(recipe, tmp_path / "run").build("cpu")
    (rows,) = [name for name in parts.learner.slow() if "token_adapter" in name]
    assert parts.learner.slow()[rows].shape == (20, 16)
    batch = parts.backbone.encode([[Prompt("тыва дыл", "чоннуң дылы")]])
    _, grads = parts.learner.losses_and_grads(parts.learner.spread(1), batch)
    moved = {parts.backbone.new_rows[index] for index in grads[rows][0].abs().sum(1).nonzero().flatten().tolist()}
    met = {*batch.inputs["input_ids"].flatten().tolist(), *batch.inputs["decoder_input_ids"].flatten().tolist()}
    assert moved == met & set(parts.backbone.new_rows) != set()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("byt5", "ByT5 reads bytes: no character is unknown to it, and there are no pieces to add"),
        ("m2m100", "M2M100Tokenizer has its pieces in a sentencepiece file that cannot grow; take NLLB"),
        ("marian", "MarianTokenizer has its pieces in a sentencepiece file"),
        ("bart", "RobertaTokenizer spells in bytes, so no character is unknown to it"),
    ],
)
def test_who_needs_or_takes_none(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    BUILDERS[name](tmp_path / "model")
    options = BACKBONES.get("seq2seq")(model=str(tmp_path / "model"))
    with pytest.raises(UserError, match=f"task.new_pieces: {said}"):
        options.extend(Additions({}, 5, "unread.txt"))
    assert why_none(options.open(options.model).tokenizer)


def test_pieces_need_a_text_to_be_learnt_from(make_recipe) -> None:
    with pytest.raises(UserError, match="new_pieces and new_pieces_from go together"):
        make_recipe("task.new_pieces=5")
    with pytest.raises(UserError, match="new_pieces and new_pieces_from go together"):
        make_recipe("task.new_pieces_from=a.txt")
