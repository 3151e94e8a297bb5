"""What all tests share: one thread, no network, a small task collection, a recipe on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pytest
import torch
from makers import plain_recipe, write_collection

torch.set_num_threads(1)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A collection of 6 training, 2 validation and 2 test tasks: ciphers of short words."""
    return write_collection(tmp_path / "ciphers")


@pytest.fixture
def make_recipe(collection: Path) -> Callable[..., Any]:
    """`make_recipe("stages.meta.train.steps=3", ...)`: a recipe that trains in a second."""
    from metanlp.config.load import build_recipe

    return lambda *overrides: build_recipe(plain_recipe(collection), *overrides)
