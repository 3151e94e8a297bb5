"""Rows that encoder-decoders read and write in tests, and their pieces as the tokenizer alone gives them."""

from __future__ import annotations

from typing import Any

import pytest
from real_formats import BEFORE, BUILDERS, LANGUAGES

from metanlp.data.types import Prompt

everyone = pytest.mark.parametrize("name", BUILDERS)
with_languages = pytest.mark.parametrize("name", LANGUAGES)
TEXTS = [
    ("the cat sat on the mat", "der alte Mann"),
    ("a small bird", "ki te kainga te ngeru"),
    ("bread", "wasi ukupi"),
    ("we went to the old garden", "im Garten singt ein kleiner Vogel"),
]


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
