"""A language that pretrained models have no code for, by family: its code, its relative, rows into it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from real_formats import BEFORE, LANGUAGES

from metanlp.backbones._additions import add_languages, make_rows
from metanlp.data.types import Prompt

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
SOURCES = ["the cat sat on the mat", "bread", "a small bird sings", "we went to the old garden"]
TARGETS = ["wasi ukupi misi tiyan", "misi", "ki te kainga", "ukupi tiyan te ngeru"]


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


def extended(options: Any, languages: dict[str, str | None]) -> tuple[Any, dict]:
    """A backbone with new codes that has never been saved, and the rows that they start from."""
    backbone = options.open(options.model)
    starts = add_languages(backbone.tokenizer, languages)
    make_rows(backbone.model, starts)
    return type(backbone)(backbone.model, backbone.tokenizer, 64, new_rows=sorted(starts)), starts
