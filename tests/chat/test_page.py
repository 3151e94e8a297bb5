"""The web page in a real browser, with a real server behind it; nothing else is there to be asked.

METANLP_PICTURES=RUN talks with that run instead of a tiny one, and makes the pictures of docs/images anew.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from served import served

pytest.importorskip("gradio", reason="pip install 'metanlp[web]'")
pytest.importorskip("playwright", reason="pip install 'metanlp[browser]'")

import playwright.sync_api as api

from metanlp.chat.lines import lines_of_file, lines_of_text
from metanlp.chat.session import Session

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")
RUN = os.environ.get("METANLP_PICTURES")
IMAGES = Path(__file__).parents[2] / "docs" / "images"
LONGEST = "30" if RUN else "8"
SECONDS = 300 if RUN else 20
LINES = "How are you? => Arr, fine as a fair wind!\nWhere do you live? => Arr, on me ship, matey!"
MORE = "Arr, hoist the sails!\nWhat do you drink? => Arr, nothing but rum!\n"
MESSAGE = "Hello! What do you like to do?"
DESK, PHONE = {"width": 1120, "height": 840}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def run(talker: Path) -> Path:
    return Path(RUN) if RUN else talker


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def server(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An address, and the folder that is the server's for files that come and go."""
    aside = tmp_path_factory.mktemp("aside")
    people = tmp_path_factory.mktemp("people")
    with served(run, people, "--max-new-tokens", LONGEST, TMPDIR=str(aside)) as (url, _):
        yield url, aside


@contextmanager
def window(browser: Any, url: str, **options: Any) -> Iterator[Window]:
    """A window of its own, which reaches that server alone."""
    opened = Window(browser.new_context(**{"viewport": DESK, **options}), url)
    yield opened
    opened.page.context.close()
    assert (opened.elsewhere, opened.complaints) == ([], [])


class Window:
    """What somebody sees and does. Finds everything by its label, as a screen reader does."""

    def __init__(self, context: Any, url: str) -> None:
        self.elsewhere: list[str] = []  # addresses of other hosts that were asked for
        self.complaints: list[str] = []  # the browser's, as when the page's policy forbids something
        context.set_default_timeout(SECONDS * 1000)
        self.page = context.new_page()
        self.page.route(re.compile(f"^(?!{re.escape(url)}|data:|blob:)"), self._refuse)
        self.page.on(
            "console",
            lambda said: self.complaints.append(f"{said.text} {said.location}") if said.type == "error" else None,
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.answer = self.page.get_by_test_id("bot").last
        self.open(url)

    def _refuse(self, route: Any) -> None:
        self.elsewhere.append(route.request.url)
        route.abort()

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.hears("choose a person, or create one")

    def reload(self) -> None:
        assert self.complaints == []
        self.page.reload()
        self.hears("choose a person, or create one")
        self.complaints.clear()  # of what was still being sent

    def field(self, label: str) -> Any:
        return self.page.get_by_role("textbox", name=re.compile(f"^{label}"))

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def create(self, name: str) -> None:
        self.field("New person").fill(name)
        self.field("New person").press("Enter")
        self.hears(f"you talk with {name}")

    def finds(self, *people: str) -> None:
        """To choose among."""
        self.page.get_by_label("Person", exact=True).click()
        self.reads(self.page.get_by_role("option"), [re.compile(rf"\b{name}\b") for name in people])
        self.page.keyboard.press("Escape")

    def choose(self, name: str) -> None:
        self.page.get_by_label("Person", exact=True).click()
        self.page.get_by_role("option", name=name).click()
        self.hears(f"you talk with {name}")

    def say(self, message: str) -> None:
        self.field("Message").fill(message)
        self.field("Message").press("Enter")

    def drop(self, file: Path) -> None:
        self.page.locator("input[type=file]").set_input_files(file)
        self.page.locator("#file").get_by_role("link").wait_for()  # of what has arrived

    def hears(self, news: str) -> str:
        status = self.page.get_by_role("status").filter(has_text=news)
        status.wait_for()
        return str(status.inner_text())

    def reads(self, where: Any, text: Any) -> None:
        api.expect(where).to_have_text(text, timeout=SECONDS * 1000)

    def picture(self, name: str) -> None:
        if RUN:
            IMAGES.mkdir(exist_ok=True)
            self.page.mouse.move(0, 0)
            self.page.screenshot(path=IMAGES / f"{name}.png", full_page=True, scale="css")


def said(session: Session, name: str, adapted: bool = True) -> str:
    session.open(name)
    session.reset(name)
    return "".join(session.reply(name, MESSAGE, adapted)).strip()


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
