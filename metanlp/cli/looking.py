"""Verbs that look around: runs, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metanlp.cli._app import app, quiet
from metanlp.errors import UserError


@app.command()
def runs(folder: Annotated[Path, typer.Argument(help="where the runs are")] = Path("runs")) -> None:
    """List runs: how far they are, and what was measured."""
    from metanlp.listing import runs_table

    print(runs_table(folder))


@app.command()
def doctor(
    text: Annotated[Path | None, typer.Option(help="a text file in your language, one sentence a line")] = None,
    backbone: Annotated[str | None, typer.Option(help="whose tokenizer reads it: a Hub name or a folder")] = None,
    like: Annotated[Path | None, typer.Option(help="a text in a related language, to compare with")] = None,
) -> None:
    """What this machine has, or what a model sees of your text.

    With --text and --backbone: how a model's tokenizer cuts the text, what it does not know, and what to do about it.
    """
    from metanlp.doctor import examination, text_examination

    if text is None and backbone is None and like is None:
        print(examination())
    elif text is None or backbone is None:
        raise UserError("doctor wants both --text FILE and --backbone NAME_OR_FOLDER, or neither")
    else:
        quiet()
        print(text_examination(text, backbone, like))
