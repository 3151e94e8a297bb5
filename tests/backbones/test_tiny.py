"""The backbone from scratch: its tokenizer against sentencepiece itself, its folder in a new process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metanlp.backbones._sentencepiece import train_sentencepiece, train_tokenizer
from metanlp.backbones.tiny import Tiny
from metanlp.data.types import Prompt

KINDS = ("char", "bpe", "unigram")
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "naïve",
    "Übung",
    "größe",
    "один",
    "два",
    "три",
    "四五六",
    "nullpunkt",
    "sechsundzwanzig",
    "hundert",
    "x=</s>",
]


def sentences() -> list[str]:
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 8))) + f" {draw.randint(0, 99999)}" for _ in range(300)]


def read_and_written(most: int | None = None) -> list[Prompt]:
    texts = sentences()
    return [Prompt(source, target) for source, target in zip(texts[::2], texts[1::2], strict=True)]


@lru_cache
def both(kind: str) -> tuple[Any, sentencepiece.SentencePieceProcessor]:
    model = train_sentencepiece(sentences(), kind, 420)
    return train_tokenizer(sentences(), kind, 420), sentencepiece.SentencePieceProcessor(model_proto=model)


LIKELY = st.text(alphabet="".join(sorted({*"".join(sentences())})) + "<>/0xAF日é", max_size=40)
ARBITRARY = st.text(max_size=30) | LIKELY | st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
NAMES = ("</s>", "a</s>b", "<pad> <unk>", "<0x41>", "x<0x0A>y", "▁a▁ b", "<<0x41>>", " <s> ", "\u200b\ufeff", "e\u0301")


def with_names(test: Any) -> Any:
    for text in NAMES:
        test = example(text=text)(test)
    return test


@pytest.mark.parametrize("kind", KINDS)
@given(text=ARBITRARY)
@with_names
@settings(max_examples=150, deadline=None)
def test_the_segmentation_is_sentencepieces_own(kind: str, text: str) -> None:
    tokenizer, reference = both(kind)
    assert tokenizer(text)["input_ids"] == [*reference.encode(text), tokenizer.eos_token_id]


@pytest.mark.parametrize("kind", KINDS)
@given(text=ARBITRARY.filter(lambda text: "▁" not in text and not any(unicodedata.category(c) == "Cc" for c in text)))
@with_names
@settings(max_examples=150, deadline=None)
def test_text_comes_back_as_it_was(kind: str, text: str) -> None:
    text = text.replace("▁", "")  # sentencepiece's own sign for a space
    tokenizer, _ = both(kind)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) == text
    assert tokenizer.unk_token_id not in ids


@pytest.mark.parametrize("kind", KINDS)
def test_digits_are_cut_one_by_one(kind: str) -> None:
    tokenizer, _ = both(kind)
    long = [
        piece for piece in tokenizer.get_vocab() if not piece.startswith("<0x") and sum(map(str.isdigit, piece)) > 0
    ]
    assert sorted(piece.strip("▁") for piece in long) == list("0123456789")
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("hundert 90210")["input_ids"])
    assert pieces[-6:] == ["9", "0", "2", "1", "0", "</s>"]


def test_the_kinds_differ_as_their_names_say() -> None:
    def longest(kind: str) -> int:
        return max(len(piece) for piece in both(kind)[0].get_vocab() if not piece.startswith("<"))

    assert longest("char") == 1
    assert longest("bpe") > 2
    assert longest("unigram") > 2
    assert len(both("bpe")[0]) <= 420


def small(**options: Any) -> Tiny:
    return Tiny(width=16, heads=2, feed_forward=16, encoder_layers=1, decoder_layers=1, vocabulary=400, **options)


def fresh_process(folder: Path, texts: list[str]) -> dict[str, Any]:
    """Ids, logits and generated ids of plain transformers, which knows nothing of metanlp."""
    code = """
import json, sys, torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
folder, texts = sys.argv[1], json.loads(sys.argv[2])
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
model.eval()
batch = tokenizer(texts, padding=True, return_tensors="pt")
start = torch.full((len(texts), 1), model.config.decoder_start_token_id)
with torch.no_grad():
    logits = model(**batch, decoder_input_ids=start).logits
    written = model.generate(**batch, max_new_tokens=5, do_sample=False)
torch.save(
    {
        "ids": batch["input_ids"].tolist(),
        "logits": logits,
        "written": tokenizer.batch_decode(written, skip_special_tokens=True),
        "decoded": tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True),
        "metanlp": "metanlp" in sys.modules,
    },
    sys.argv[3],
)
"""
    out = folder.parent / "out.pt"
    subprocess.run(
        [sys.executable, "-c", code, str(folder), json.dumps(texts), str(out)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return torch.load(out)


def test_the_folder_loads_in_a_new_process_as_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "backbone"
    folder.mkdir()
    small().prepare(folder, read_and_written, 0)
    backbone = small().open(str(folder))
    backbone.model.eval()
    texts = ["the cat", "größe 日本 <0x41>  </s> x", "", "один 四"]
    found = fresh_process(folder, texts)
    assert not found["metanlp"]
    batch = backbone.encode([[Prompt(text) for text in texts]])
    assert found["ids"] == batch.inputs["input_ids"].tolist()
    assert found["decoded"] == texts
    with torch.no_grad():
        first = {**batch.inputs, "decoder_input_ids": batch.inputs["decoder_input_ids"][:, :1]}
        logits = backbone.model(**first).logits
    assert torch.equal(found["logits"], logits)
    assert found["written"] == backbone.generate([[Prompt(text) for text in texts]], max_new_tokens=5)[0]


def test_the_seed_is_all_there_is_to_chance(tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> dict[str, torch.Tensor]:
        folder = tmp_path / name
        folder.mkdir()
        torch.manual_seed(len(name))
        small().prepare(folder, read_and_written, seed)
        return small().open(str(folder)).model.state_dict()

    one, same, other = weights("one", 3), weights("same1", 3), weights("other", 4)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "one/tokenizer.json").read_bytes() == (tmp_path / "same1/tokenizer.json").read_bytes()


def test_it_learns(tmp_path: Path) -> None:
    """The encoded batch is what the model needs: a few steps and it spells the targets."""
    folder = tmp_path / "backbone"
    folder.mkdir()
    options = Tiny(
        width=32, heads=2, feed_forward=32, encoder_layers=1, decoder_layers=1, vocabulary=300, pieces="char"
    )
    options.prepare(folder, read_and_written, 0)
    backbone = options.open(str(folder))
    pairs = [("one", "cat"), ("two", "mat"), ("six", "the"), ("ten", "sat on")]
    prompts = [[Prompt(source, target) for source, target in pairs]]
    batch = backbone.encode(prompts)
    optimizer = torch.optim.Adam(backbone.model.parameters(), 3e-3)
    backbone.model.train()
    for _ in range(120):
        optimizer.zero_grad()
        logits = backbone.model(**batch.inputs).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten()).backward()
        optimizer.step()
    backbone.model.eval()
    assert backbone.generate(prompts, max_new_tokens=20)[0] == [target for _, target in pairs]


@pytest.mark.parametrize("text", ["", "x" * 300])
def test_very_short_and_very_long_texts(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "backbone"
    folder.mkdir()
    small(max_length=20).prepare(folder, read_and_written, 0)
    backbone = small(max_length=20).open(str(folder))
    backbone.model.eval()
    batch = backbone.encode([[Prompt(text, text)]])
    assert batch.labels.shape[1] <= 20
    with torch.no_grad():
        assert torch.isfinite(backbone.model(**batch.inputs).logits).all()
    assert len(backbone.generate([[Prompt(text)]], max_new_tokens=100)[0]) == 1
