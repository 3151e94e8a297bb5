"""Verbs that talk: chat, serve."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metanlp.cli._app import app, quiet
from metanlp.errors import UserError

if TYPE_CHECKING:
    from metanlp.chat.session import Session


ChatRun = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="a run for dialogues  [default: SmolLM2, fetched once, not meta-trained]"),
]
People = Annotated[Path | None, typer.Option(metavar="FOLDER", help="where people are kept  [default: RUN/people]")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda:0, ...  [default: a GPU where there is one]")]
Longest = Annotated[int, typer.Option(min=1, help="longest answer, in pieces")]
Temperature = Annotated[float, typer.Option(min=0, help="0: the likeliest answer; higher: more surprising")]
TopP = Annotated[float, typer.Option(min=0, max=1, help="draw from the likeliest pieces of this share")]


@app.command()
def chat(
    run: ChatRun = None,
    person: Annotated[str | None, typer.Option(metavar="NAME", help="whom to talk with; a new one is created")] = None,
    people: People = None,
    device: Device = None,
    max_new_tokens: Longest = 80,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
) -> None:
    """Talk with a model that becomes like the person it talks for.

    Teach it a few of their lines (/teach), and it answers as they would; /help tells the other commands. What does not come
    from a terminal is read line by line, as `printf '/person Anna\\nHello!\\n' | metanlp chat RUN`.
    """
    from metanlp.chat.screens import Colours, Lines
    from metanlp.chat.terminal import COMMANDS, Screen, Terminal

    screen: Screen = Colours(COMMANDS) if sys.stdin.isatty() and sys.stdout.isatty() else Lines()
    with _session(run, people, device, max_new_tokens, temperature, top_p) as session:
        Terminal(session, screen, person).run()


@app.command()
def serve(
    run: ChatRun = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="whence the page is reached; 0.0.0.0: everywhere")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 7860,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="METANLP_PASSWORD", help="what the page asks for; needed at any address but this machine's own"
        ),
    ] = None,
    people: People = None,
    device: Device = None,
    max_new_tokens: Longest = 80,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
) -> None:
    """The chat as a web page, at http://127.0.0.1:7860.

    Whoever reaches the page sees all people. It asks the internet for nothing. At another address, put a server that speaks
    HTTPS before it: without, the password and all lines travel readable for everybody in between.
    """
    if find_spec("gradio") is None:
        raise UserError("the web page needs Gradio; run: pip install 'metanlp[web]'")
    from metanlp.chat.guard import require_password
    from metanlp.chat.web import serve as serve_page

    require_password(host, password)
    with _session(run, people, device, max_new_tokens, temperature, top_p) as session:
        serve_page(session, host, port, password)


@contextmanager
def _session(
    run: str | None, people: Path | None, device: str | None, max_new_tokens: int, temperature: float, top_p: float
) -> Iterator[Session]:
    from metanlp.chat.default import default_people, default_run
    from metanlp.chat.session import Session

    quiet()
    kept = people or (None if run else default_people())
    session = Session(
        run or default_run(),
        people=kept,
        device=device,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
    )
    try:
        yield session
    finally:
        session.close()
