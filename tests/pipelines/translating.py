"""Texts to translate, and a pipeline that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import metanlp
from metanlp.pipelines.translation import TranslationPipeline

TEXTS = ["abc 3", "", "hag", "  ", "bad cab 3", "abcdefgh abcd", "gab 9", "cafe", "beef 1", "egg"]


def texts_of(found: Any) -> list[str]:
    return [each["translation_text"] for each in found]


def pipe(run: Path, adaptation: Any = None, **options: Any) -> TranslationPipeline:
    return metanlp.pipeline("translation", run, adaptation=adaptation, **{"max_new_tokens": 6, **options})
