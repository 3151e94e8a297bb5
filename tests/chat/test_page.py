"""The web page in a real browser, with a real server behind it; nothing else is there to be asked.

METANLP_PICTURES=RUN talks with that run instead of a tiny one, and makes the pictures of docs/images anew.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from served import served
from window import LONGEST, MESSAGE, PHONE, RUN, SECONDS, api, needs_chromium, said, window

from metanlp.chat.lines import lines_of_text

pytestmark = needs_chromium
LINES = "How are you? => Arr, fine as a fair wind!\nWhere do you live? => Arr, on me ship, matey!"


def test_the_story_of_anna(run: Path, tmp_path: Path, session_of: Callable, browser: Any) -> None:
    """Created, taught, switched away from, side by side, loaded anew, restarted, forgotten; a session apart says how
    everybody should answer."""
    session = session_of(run=run, people=tmp_path / "apart", max_new_tokens=int(LONGEST))
    plain = said(session, "Anna")
    assert session.teach("Anna", lines_of_text(LINES)).wait(SECONDS)
    adapted = said(session, "Anna")
    assert adapted != plain

    people, options = tmp_path / "people", ["--max-new-tokens", LONGEST]
    with served(run, people, *options) as (url, _), window(browser, url) as here:
        here.create("Anna")
        here.say(MESSAGE)
        here.reads(here.answer, plain)
        here.field("Lines of theirs").fill(LINES)
        here.press("Teach")
        here.page.get_by_role("progressbar").wait_for()
        if RUN:
            here.page.get_by_text(re.compile(r"step 1\d of")).wait_for()
        here.picture("chat-teaching")
        assert here.hears("Anna has learnt 2 lines in")
        assert here.field("Lines of theirs").input_value() == ""
        here.press("Begin anew")
        here.hears("it had 2 messages")
        here.say(MESSAGE)
        here.reads(here.answer, adapted)
        here.press("Begin anew")
        here.hears("it had 2 messages")
        here.page.get_by_label("not adapted").check()
        here.say(MESSAGE)
        here.reads(here.answer, plain)
        here.press("Begin anew")
        here.page.get_by_label("side by side").check()
        here.say(MESSAGE)
        here.reads(here.answer, adapted)
        api.expect(here.field("Not adapted")).to_have_value(plain, timeout=SECONDS * 1000)
        api.expect(here.field("Anna")).to_have_value(adapted, timeout=SECONDS * 1000)
        here.picture("chat-side-by-side")

        with window(browser, url) as there:
            there.create("Ben")
            there.say(MESSAGE)
            there.reads(there.answer, plain)
            there.choose("Anna")
            assert there.page.get_by_test_id("bot").count() == 0  # what Anna said in the other window stays there
            there.say(MESSAGE)
            there.reads(there.answer, adapted)
            there.say(MESSAGE)
            there.choose("Ben")  # before Anna has answered
            there.reads(there.page.get_by_test_id("bot"), [plain])
        here.finds("Anna", "Ben")

        here.reload()
        here.choose("Anna")
        here.say(MESSAGE)
        here.reads(here.answer, adapted)
        with here.page.expect_download() as download:
            here.page.get_by_role("link", name="Export").click()
        with zipfile.ZipFile(download.value.path()) as archive:
            assert {"adapter_config.json", "lines.jsonl"} <= {Path(name).name for name in archive.namelist()}
        assert download.value.suggested_filename == "Anna.zip"

    with served(run, people, *options) as (url, _), window(browser, url) as anew:
        anew.choose("Anna")
        anew.say(MESSAGE)
        anew.reads(anew.answer, adapted)
        anew.press("Forget")
        anew.press("Keep")
        anew.page.get_by_role("button", name="Delete for ever").wait_for(state="hidden")
        anew.press("Forget")
        anew.press("Delete for ever")
        gone = anew.hears("forgot Anna: deleted 2 lines, an adapter of")
        assert "a conversation of 2 messages" in gone
        anew.finds("Ben")
        assert not anew.field("Message").is_visible()
        assert len([each for each in people.iterdir() if each.is_dir()]) == 1
        anew.create("Anna")
        anew.say(MESSAGE)
        anew.reads(anew.answer, plain)


def test_what_was_said_in_a_closed_window_is_forgotten(run: Path, tmp_path: Path, browser: Any) -> None:
    """After an hour, in which it may come back; Gradio has a variable that makes it a second."""
    with served(run, tmp_path / "people", GRADIO_IS_E2E_TEST="1") as (url, _), window(browser, url) as here:
        here.create("Anna")
        here.say(MESSAGE)
        here.answer.wait_for()
        with window(browser, url) as there:
            there.choose("Anna")
            there.say(MESSAGE)
            there.answer.wait_for()
        here.page.wait_for_timeout(4000)
        here.press("Forget")
        here.press("Delete for ever")
        assert "a conversation of 2 messages" in here.hears("forgot Anna")


def test_names_and_lines_are_text_and_nothing_else(browser: Any, server: tuple[str, Path]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    with window(browser, server[0]) as here:
        here.create(evil)
        here.say(evil)
        here.answer.wait_for()
        here.page.get_by_role("button", name="Who there is").click()
        here.page.locator("#who").get_by_text(evil).wait_for()
        here.field("New person").fill("\a" + evil)
        here.field("New person").press("Enter")
        here.page.get_by_test_id("toast-body").filter(has_text="is no name").wait_for()
        assert here.page.locator("img[src=x]").count() == 0


def test_it_can_be_read_aloud_and_fits_a_phone(browser: Any, server: tuple[str, Path]) -> None:
    """Everything that can be filled in or pressed has a name; nothing stands beyond the screen's edge."""
    with window(browser, server[0], viewport=PHONE) as here:
        here.create("Zoë")
        here.page.get_by_label("side by side").check()
        here.say(MESSAGE)
        here.answer.wait_for()
        here.press("Forget")
        nameless = """() => [...document.querySelectorAll('input, textarea, button, select, a')]
            .filter(each => each.checkVisibility() && !(each.labels?.length || each.ariaLabel || each.title
                || each.innerText?.trim() || each.getAttribute('aria-labelledby')))
            .map(each => each.outerHTML)"""
        assert here.page.evaluate(nameless) == []
        assert here.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert here.page.evaluate("document.documentElement.lang") == "en"


def test_elsewhere_than_on_this_machine_a_password_is_asked_for(run: Path, tmp_path: Path, browser: Any) -> None:
    with served(run, tmp_path / "people", "--host", "0.0.0.0", METANLP_PASSWORD="open sesame") as (url, _):
        url = url.replace("0.0.0.0", "127.0.0.1")
        for given in ({}, {"http_credentials": {"username": "anna", "password": "open barley"}}):
            with browser.new_context(**given) as context:
                page = context.new_page()
                with suppress(api.Error):  # INVALID_AUTH_CREDENTIALS, or the server's own words are shown
                    page.goto(url)
                assert page.get_by_text("New person").count() == 0
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/export?person=Anna")
        known = {"username": "anna", "password": "open sesame"}
        with window(browser, url, http_credentials=known) as here:
            here.create("Anna")
            here.say(MESSAGE)
            here.answer.wait_for()
            here.press("Begin anew")
            here.hears("the conversation begins anew")
