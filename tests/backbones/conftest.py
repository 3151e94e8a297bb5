"""What tests of backbones share: the tiny models of the real classes, each written once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from real_formats import BUILDERS


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`folder_of("nllb")`: where the model of that name is."""

    @cache
    def folder(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        BUILDERS[name](made)
        return made

    return folder
