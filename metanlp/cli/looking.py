"""Verbs that look around: runs, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metanlp.cli._app import app


@app.command()
def runs(folder: Annotated[Path, typer.Argument(help="where the runs are")] = Path("runs")) -> None:
    """List runs: how far they are, and what was measured."""
    from metanlp.listing import runs_table

    print(runs_table(folder))


@app.command()
def doctor() -> None:
    """What this machine has, what is missing, how fast it is."""
    from metanlp.doctor import examination

    print(examination())
