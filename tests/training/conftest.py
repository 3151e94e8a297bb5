"""What tests of training share: a process that trains, a task collection, runs that nothing has broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from experiment import Server, recipe_of
from makers import write_collection


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.communicate(timeout=30)


@pytest.fixture(scope="session")
def ciphers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("data") / "ciphers")


@pytest.fixture(scope="session")
def unbroken(server: Server, ciphers: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def run(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind) / "unbroken"
        assert server.train(recipe_of(ciphers, kind), folder) == 0
        return folder

    return run
