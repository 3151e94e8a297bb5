"""A run to talk with, shared; people of each test's own; for the web page a server and a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served import served
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


@pytest.fixture(scope="module")
def run(talker: Path) -> Path:
    """What the web page talks with."""
    from window import RUN

    return Path(RUN) if RUN else talker


@pytest.fixture(scope="module")
def server(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An address, and the folder that is the server's for files that come and go."""
    from window import LONGEST

    aside = tmp_path_factory.mktemp("aside")
    people = tmp_path_factory.mktemp("people")
    with served(run, people, "--max-new-tokens", LONGEST, TMPDIR=str(aside)) as (url, _):
        yield url, aside


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Closed with the module: while it is open, the thread has an event loop that runs."""
    from window import CHROMIUM, api

    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
