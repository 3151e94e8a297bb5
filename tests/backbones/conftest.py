"""What tests of backbones share: the tiny models of the real classes, each written once, and how they are opened."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from backbones.causal_models import save_causal
from real_formats import BUILDERS

from metanlp.registry import BACKBONES


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`folder_of("nllb")`: where the model of that name is."""

    @cache
    def folder(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        BUILDERS[name](made)
        return made

    return folder


@pytest.fixture
def open_seq2seq(folder_of: Callable[[str], Path]) -> Callable[..., Any]:
    """`open_seq2seq("nllb", max_length=8)`: that encoder-decoder."""

    def opened(name: str, **options: Any) -> Any:
        folder = folder_of(name)
        backbone = BACKBONES.get("seq2seq")(model=str(folder), **options).open(str(folder))
        backbone.model.eval()
        return backbone

    return opened


@pytest.fixture
def seq2seq(folder_of: Callable[[str], Path]) -> Callable[[str], Any]:
    """`seq2seq("nllb")`: the options that open it."""
    return lambda name: BACKBONES.get("seq2seq")(model=str(folder_of(name)))


@pytest.fixture(scope="session")
def open_causal(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`open_causal("llama", max_length=40)`: that causal model."""

    @cache
    def folder_of(name: str) -> Path:
        return save_causal(name, tmp_path_factory.mktemp(name))

    def backbone(name: str, **options: Any) -> Any:
        folder = str(folder_of(name))
        made = BACKBONES.get("causal")(model=folder, **options).open(folder)
        made.model.eval()
        return made

    return backbone
