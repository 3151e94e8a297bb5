"""Verbs that talk: chat."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from metanlp.cli._app import app, quiet


@app.command()
def chat(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="a run for dialogues  [default: SmolLM2, fetched once, not meta-trained]"),
    ] = None,
    person: Annotated[str | None, typer.Option(metavar="NAME", help="whom to talk with; a new one is created")] = None,
    people: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="where people are kept  [default: RUN/people]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda:0, ...  [default: a GPU where there is one]")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="longest answer, in pieces")] = 80,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest answer; higher: more surprising")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="draw from the likeliest pieces of this share")] = 1.0,
) -> None:
    """Talk with a model that becomes like the person it talks for.

    Teach it a few of their lines (/teach), and it answers as they would; /help tells the other commands. What does not come
    from a terminal is read line by line, as `printf '/person Anna\\nHello!\\n' | metanlp chat RUN`.
    """
    from metanlp.chat.default import default_people, default_run
    from metanlp.chat.screens import Colours, Lines
    from metanlp.chat.session import Session
    from metanlp.chat.terminal import COMMANDS, Screen, Terminal

    quiet()
    screen: Screen = Colours(COMMANDS) if sys.stdin.isatty() and sys.stdout.isatty() else Lines()
    kept = people or (None if run else default_people())
    options = {"device": device, "max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p}
    session = Session(run or default_run(), people=kept, **options)  # type: ignore[arg-type]
    try:
        Terminal(session, screen, person).run()
    finally:
        session.close()
