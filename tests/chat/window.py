"""The web page's window in a real browser, and what somebody sees and does there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metanlp.chat.session import Session

pytest.importorskip("gradio", reason="pip install 'metanlp[web]'")
api = pytest.importorskip("playwright.sync_api", reason="pip install 'metanlp[browser]'")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="apt install chromium")
RUN = os.environ.get("METANLP_PICTURES")
IMAGES = Path(__file__).parents[2] / "docs" / "images"
LONGEST = "30" if RUN else "8"
SECONDS = 300 if RUN else 20
MESSAGE = "Hello! What do you like to do?"
DESK, PHONE = {"width": 1120, "height": 840}, {"width": 390, "height": 844}


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
