"""What happens on the web page when somebody types, clicks or drops a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import gradio as gr

from metanlp.chat.lines import lines_of_file, lines_of_text
from metanlp.chat.screens import SECONDS_BETWEEN_LOOKS, about, told
from metanlp.chat.session import Message, Session
from metanlp.chat.teaching import Teaching
from metanlp.chat.widgets import AS_PERSON, SIDE_BY_SIDE, Widgets
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.report.summary import counted

SECONDS_TO_STOP = 5  # an answer; if it takes longer, its window has gone
WELCOME = "choose a person, or create one"
Shown = dict[Any, Any]  # a widget -> what it becomes


def in_words(handler: Callable[..., Shown]) -> Callable[..., Shown]:
    """A user's mistake is shown to them, and changes nothing else on the page."""

    @wraps(handler)
    def tried(page: Page, *given: Any) -> Shown:
        try:
            return handler(page, *given)
        except UserError as error:
            return page.show(error)

    return tried


class Page:
    """`Page(session).blocks` is the page. What a window shows, the window hands in; remembered is only what it waits for.

    Once a window is closed, what was said in it is kept for an hour after its last message: a phone that sleeps comes back.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._answers: dict[str, tuple[Event, Event]] = {}  # window -> stop it, it is over
        with gr.Blocks(title="metanlp chat", analytics_enabled=False) as self.blocks:
            self.widgets = Widgets()
            self.timer = gr.Timer(SECONDS_BETWEEN_LOOKS, active=False)
            # Of a window that was closed, Gradio deletes these an hour after they were last set.
            self.window = gr.State("", delete_callback=self.leave)
            self.lying = gr.State("", delete_callback=_delete)  # a dropped file that was not read yet
            self._connect(self.widgets)
        self.blocks.queue(default_concurrency_limit=None, api_open=False)

    def _connect(self, on: Widgets) -> None:
        every = {*vars(on).values(), self.timer, self.window, self.lying}
        quiet: Any = {"outputs": every, "show_progress": "hidden", "api_visibility": "private"}
        self.blocks.load(self.arrive, [], **quiet)
        on.person.input(self.choose, [on.person], **quiet)
        on.new.submit(self.create, [on.new], **quiet)
        gr.on([on.message.submit, on.send.click], self.say, [on.person, on.message, on.answers], **quiet)
        gr.on([on.reset.click, on.chat.clear], self.reset, [on.person], **quiet)
        on.delete.click(self.forget, [on.person, self.lying], **quiet)
        on.file.change(self.drop, [on.file, self.lying], **quiet)
        on.teach.click(self.teach, [on.person, on.lines, on.file], **quiet)
        on.forget.click(lambda: gr.Row(visible=True), [], on.sure, api_visibility="private")
        on.keep.click(lambda: gr.Row(visible=False), [], on.sure, api_visibility="private")
        on.person.focus(
            lambda: gr.Dropdown(self._names()), [], on.person, show_progress="hidden", api_visibility="private"
        )
        self.timer.tick(self.look, [on.person], **quiet)

    def arrive(self) -> Shown:
        """A window was opened, or loaded anew: nobody is chosen, unless somebody was quicker than this."""
        on = self.widgets
        return {on.person: gr.Dropdown(self._names()), on.who: self._who(), on.news: _html([WELCOME])}

    def leave(self, window: str) -> None:
        """A window was closed for good."""
        self._answers.pop(window, None)
        self.session.leave(window)

    @in_words
    def choose(self, name: str | None, request: gr.Request) -> Shown:
        if name is None:
            return self._nobody(WELCOME)
        person, on = self.session.open(name), self.widgets
        self._stop(request)
        known = "" if person.lines else ", who is new: teach them some lines"
        return {
            on.person: gr.Dropdown(self._names(), value=person.name),
            on.new: "",
            on.room: gr.Row(visible=True),
            on.chat: _plain(self.session.conversation(person.name, str(request.session_hash))),
            on.two: gr.Row(visible=False),
            on.sure: gr.Row(visible=False),
            on.theirs: gr.Textbox("", label=person.name),
            on.news: _html([f"you talk with {person.name}{known}"]),
            **self._standing(person.name),
        }

    def create(self, name: str, request: gr.Request) -> Shown:
        return self.choose(name, request)

    def say(self, name: str, message: str, answers: str, request: gr.Request) -> Iterator[Shown]:
        """The answer grows; side by side, both do."""
        on, window = self.widgets, str(request.session_hash)
        both, texts = answers == SIDE_BY_SIDE, ["", ""]
        before = [*self.session.conversation(name, window), {"role": "user", "content": message}]
        try:
            if both:
                pairs = self.session.both(name, message, window)
            else:
                pairs = (("", piece) for piece in self.session.reply(name, message, answers == AS_PERSON, window))
        except UserError as error:
            yield self.show(error)
            return
        stop, over = self._answers[window] = Event(), Event()
        try:
            emptied = {on.message: "", on.own: "", on.theirs: ""}
            yield emptied | {on.chat: _plain(before), on.two: gr.Row(visible=both), self.window: window}
            for pair in pairs:
                if stop.is_set():
                    return
                texts = [text + piece for text, piece in zip(texts, pair, strict=True)]
                grown = {on.chat: _plain([*before, {"role": "assistant", "content": texts[1]}])}
                yield grown | ({on.own: texts[0], on.theirs: texts[1]} if both else {})
        finally:
            over.set()

    def teach(self, name: str, typed: str, file: str | None) -> Shown:
        """Lines that are typed, and those of a dropped file, which is gone once it is read, whatever was in it."""
        shown = self._taught(name, typed, file)
        return shown if file and Path(file).exists() else shown | {self.widgets.file: None}

    @in_words
    def _taught(self, name: str, typed: str, file: str | None) -> Shown:
        examples = lines_of_text(typed) if typed.strip() or not file else []
        dropped, left_out = _dropped(Path(file)) if file else ([], [])
        self.session.teach(name, [*examples, *dropped])
        news = [f"{name} is being learnt; go on talking meanwhile", *left_out]
        return {self.widgets.lines: "", self.widgets.news: _html(news), **self._standing(name)}

    def look(self, name: str | None) -> Shown:
        """How the teaching stands; at its end it is news."""
        teaching = self.session.teaching(name) if name else None
        if teaching is None or teaching.ended:
            news = {self.widgets.news: _html([told(teaching)])} if teaching else {}
            return news | self._standing(name)
        return {self.widgets.progress: _bar(teaching)}

    def reset(self, name: str, request: gr.Request) -> Shown:
        self._stop(request)
        on, had = self.widgets, self.session.reset(name, str(request.session_hash))
        news = _html([f"the conversation begins anew; it had {counted(had, 'message')}"])
        return {on.chat: [], on.two: gr.Row(visible=False), on.news: news}

    def drop(self, file: str | None, before: str) -> Shown:
        """A file was dropped, or taken away; the one that lay there goes."""
        if file != before:
            _delete(before)
        return {self.lying: file or ""}

    @in_words
    def forget(self, name: str, lying: str, request: gr.Request) -> Shown:
        """Also what was going to be taught."""
        self._stop(request)
        gone = self.session.forget(name)
        _delete(lying)
        return {self.widgets.lines: "", self.widgets.file: None, **self._nobody(str(gone))}

    def show(self, mistake: UserError) -> Shown:
        gr.Warning(escape(str(mistake)), duration=None)  # unlike gr.Error it covers nothing
        return {self.widgets.news: ""}

    def _stop(self, request: gr.Request) -> None:
        """No more is shown of an answer that the window waits for: it belongs to whom it was begun for."""
        if found := self._answers.pop(str(request.session_hash), None):
            stop, over = found
            stop.set()
            over.wait(SECONDS_TO_STOP)

    def _nobody(self, news: str) -> Shown:
        on = self.widgets
        chosen = {on.person: gr.Dropdown(self._names(), value=None), on.room: gr.Row(visible=False)}
        return chosen | {on.news: _html([news])} | self._standing(None)

    def _names(self) -> list[str]:
        return [person.name for person in self.session.people()]

    def _who(self) -> str:
        found = [about(person, self.session.teaching(person.name)) for person in self.session.people()]
        return _html(found or ["there is nobody yet"])

    def _standing(self, name: str | None) -> Shown:
        """What there is of everybody, and how the teaching of `name` goes on."""
        on = self.widgets
        teaching = self.session.teaching(name) if name else None
        learning = teaching is not None and not teaching.ended
        adapted = any(person.name == name and person.adapter for person in self.session.people())
        return {
            on.who: self._who(),
            on.progress: _bar(teaching) if teaching and learning else "",
            on.export: gr.Button(link=f"export?person={quote(name or '', safe='')}", interactive=adapted),
            self.timer: gr.Timer(active=learning),
        }


def _delete(file: str) -> None:
    if file:
        Path(file).unlink(missing_ok=True)


def _dropped(file: Path) -> tuple[list[Example], list[str]]:
    """The lines of a file, which is deleted, and what was left out of it. Its folder is the server's business."""
    try:
        examples, rejected = lines_of_file(file)
    except UserError as error:
        raise UserError(str(error).replace(str(file), file.name)) from None
    finally:
        file.unlink(missing_ok=True)
    return examples, [f"left out {file.name}:{row.line}: {row.reason}: {row.text}" for row in rejected]


def _plain(messages: list[Message]) -> list[Message]:
    """Texts as they are written: what looks like HTML would be shown as such."""
    return [message | {"content": escape(message["content"], quote=False)} for message in messages]


def _bar(teaching: Teaching) -> str:
    begun = f'max="{teaching.steps}" value="{teaching.done}"' if teaching.steps else ""
    return f"<label>{escape(told(teaching))} <progress {begun}></progress></label>"  # without numbers: not begun yet


def _html(sentences: list[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
