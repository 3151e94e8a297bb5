"""metanlp as in a terminal, and a home to call it in."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from makers import plain_recipe, write_collection
from terminal import Done, Metanlp

import metanlp.__main__
from metanlp.config.load import build_recipe
from metanlp.config.yaml import write_yaml
from metanlp.training import meta_train


@pytest.fixture
def metanlp_(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Metanlp:
    """`metanlp_("runs", folder)` as in a terminal, but in this process, which has torch loaded already."""

    def run(*arguments: Any, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["metanlp", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            metanlp.__main__.main()
        return Done(ended.value.code or 0, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collection, a recipe file and two trained runs of it, the second with two stages."""
    home = tmp_path_factory.mktemp("home")
    raw = plain_recipe(write_collection(home / "ciphers"))
    write_yaml(home / "ciphers.yaml", raw)
    meta_train(build_recipe(raw), home / "runs" / "one")
    raw["stages"] = {"start": {"algorithm": "joint", "train": {"steps": 3}}, "meta": raw["stages"]["meta"]}
    meta_train(build_recipe(raw), home / "runs" / "two")
    return home
