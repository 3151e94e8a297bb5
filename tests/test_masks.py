"""`metanlp check --show-mask`: the pieces of the loss in some training examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from backbones.causal_models import save_causal
from backbones.real_formats import nllb
from makers import plain_recipe

from metanlp.checking import check_recipe
from metanlp.config.load import build_recipe
from metanlp.data.types import Prompt
from metanlp.masks import about_masks, mask_of
from metanlp.registry import BACKBONES
from metanlp.run import Run


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Two training people and one for the test, who say one thing."""
    folder = tmp_path / "people"
    for split, names in {"train": ["ann", "bob"], "test": ["eve"]}.items():
        (folder / split).mkdir(parents=True)
        for name in names:
            rows = [
                {"dialogue": f"{name}{place}", "history": ["the cat", "sat", "on"], "reply": f"bread {name}"}
                for place in range(6)
            ]
            (folder / split / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "collection.yaml").write_text("family: dialogue\nlicence: CC0\nsource: a test\nparallel: false\n")
    return folder


@pytest.fixture
def recipe(people: Path, tmp_path: Path) -> Any:
    plain = plain_recipe(people)
    plain["task"] = {"kind": "dialogue", "collection": str(people), "system": "Say."}
    plain["backbone"] = {"kind": "causal", "model": str(save_causal("llama", tmp_path / "llama"))}
    plain["fast_weights"] = "lora"
    plain["evaluation"] = {"shots": [0, 2]}
    return build_recipe(plain)


def test_learnt_pieces_stand_in_brackets(recipe: Any, tmp_path: Path) -> None:
    run = Run.create(recipe, tmp_path / "run")
    parts = run.build("cpu")
    lines = list(about_masks(run, parts, colour=False))
    assert [line.split(":")[0] for line in lines[::2]] == ["example of ann", "example of bob"]
    assert lines[1].startswith("  <|im_start|>system\nSay.<|im_end|>\n<|im_start|>user\nthe cat<|im_end|>\n")
    read, learnt = lines[1].split("<|im_start|>assistant\n")[-1], "bread ann<|im_end|>"
    assert "".join(re.findall(r"\[([^]]*)\]", read)) == learnt
    assert read.startswith("[") and read.endswith("[<|im_end|>]")  # noqa: PT018
    assert "[" not in lines[1].removesuffix(read)


def test_colours_hold_the_same_text(recipe: Any, tmp_path: Path) -> None:
    run = Run.create(recipe, tmp_path / "run")
    parts = run.build("cpu")
    plain, painted = (list(about_masks(run, parts, colour)) for colour in (False, True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted[1]) == re.sub(r"[][]", "", plain[1])
    found = re.findall(r"\x1b\[([0-9;]+)m([^\x1b]+)", painted[1])  # line by line, each ended by 0
    learnt = [(style, text) for style, text in found if style not in ("2", "0")]
    assert "".join(text for _, text in learnt) == "bread ann<|im_end|>"
    assert {style for style, _ in learnt} == {"1;32", "1;36"}


def test_an_encoder_reads_all_of_the_source(tmp_path: Path) -> None:
    nllb(tmp_path)
    backbone = BACKBONES.get("seq2seq")(model=str(tmp_path)).open(str(tmp_path))
    read, learnt = mask_of(backbone, Prompt("the cat", "der alte", "eng_Latn", "deu_Latn"))
    decode = backbone.tokenizer.decode
    assert (decode(read), decode(learnt)) == ("eng_Latn the cat</s>", "deu_Latn der alte</s>")


def test_check_shows_them_where_asked(recipe: Any) -> None:
    assert "example of ann" not in check_recipe(recipe, "mine")
    told = check_recipe(recipe, "mine", show_mask=True)
    assert "example of ann: " in told
    assert "backbone: LlamaForCausalLM" in told
    assert "tokens of train: " in told
