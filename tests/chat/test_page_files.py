"""Files that are dropped on the web page, in a real browser: read, told about, and gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from served import served
from window import LONGEST, MESSAGE, SECONDS, needs_chromium, said, window

from metanlp.chat.lines import lines_of_file

pytestmark = needs_chromium
MORE = "Arr, hoist the sails!\nWhat do you drink? => Arr, nothing but rum!\n"


def test_a_file_is_dropped_and_read_and_gone(
    run: Path, tmp_path: Path, session_of: Callable, browser: Any, server: tuple[str, Path]
) -> None:
    url, aside = server
    (tmp_path / "lines.txt").write_text(MORE, encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text("{}\n", encoding="utf-8")
    session = session_of(run=run, people=tmp_path / "apart", max_new_tokens=int(LONGEST))
    assert session.teach("Anna", lines_of_file(tmp_path / "lines.txt")[0]).wait(SECONDS)
    adapted = said(session, "Anna")
    with window(browser, url) as here:
        here.create("Anna")
        here.drop(tmp_path / "bad.jsonl")
        here.press("Teach")
        here.page.get_by_test_id("toast-body").filter(has_text="bad.jsonl has no line to learn: line 1").wait_for()
        here.page.locator("#file").get_by_role("link").wait_for(state="hidden")
        assert list(aside.rglob("bad.jsonl")) == []
        here.drop(tmp_path / "lines.txt")
        here.field("Lines of theirs").fill("What do you say? =>")
        here.press("Teach")
        here.page.get_by_test_id("toast-body").filter(has_text="says nothing after what it should answer").wait_for()
        assert len(list(aside.rglob("lines.txt"))) == 1  # which was not read yet
        here.field("Lines of theirs").fill("")
        here.press("Teach")
        here.hears("Anna has learnt 2 lines in")
        here.say(MESSAGE)
        here.reads(here.answer, adapted)
        assert list(aside.rglob("lines.txt")) == []


def test_a_file_that_nobody_teaches_does_not_stay(run: Path, tmp_path: Path, browser: Any) -> None:
    """Taken away, dropped for somebody who is forgotten, in a window that is closed: there Gradio's variable makes an hour
    a second."""
    aside = tmp_path / "aside"
    aside.mkdir()
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n", encoding="utf-8")

    def lie_there(*wanted: str) -> None:
        """In the folder of the server; at least soon."""
        end = time.monotonic() + SECONDS
        while (found := [path.name for path in aside.rglob("*.txt")]) != [*wanted]:
            assert time.monotonic() < end, found
            here.page.wait_for_timeout(100)

    served_there = served(run, tmp_path / "people", TMPDIR=str(aside), GRADIO_IS_E2E_TEST="1")
    with served_there as (url, _), window(browser, url) as here:
        here.create("Anna")
        here.drop(tmp_path / "one.txt")
        lie_there("one.txt")
        here.press("Clear")
        lie_there()
        here.drop(tmp_path / "two.txt")
        lie_there("two.txt")
        here.field("Lines of theirs").fill("Arr!")
        here.press("Forget")
        here.press("Delete for ever")
        here.hears("forgot Anna")
        lie_there()
        here.create("Anna")
        assert here.page.locator("#file").get_by_role("link").count() == 0
        assert here.field("Lines of theirs").input_value() == ""
        with window(browser, url) as there:
            there.choose("Anna")
            there.drop(tmp_path / "three.txt")
            lie_there("three.txt")
        lie_there()
