"""A run to talk with, shared; people of each test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from talker import make_talker

from metanlp.chat.session import Session


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_talker(tmp_path_factory.mktemp("talker"))


@pytest.fixture
def session_of(talker: Path, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """`session_of()`: a session with people in the test's folder; closed afterwards."""
    opened: list[Session] = []

    def make(**options: Any) -> Session:
        given = {"people": tmp_path / "people", "device": "cpu", "max_new_tokens": 8, **options}
        opened.append(Session(given.pop("run", talker), **given))
        return opened[-1]

    yield make
    for session in opened:
        session.close()
