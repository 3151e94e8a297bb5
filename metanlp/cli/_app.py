"""The program, and what its verbs share."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import typer

from metanlp.errors import UserError

app = typer.Typer(
    name="metanlp",
    help="Meta-train a transformer over many tasks; adapt it to one more from a few examples.\n\n"
    "Begin with `metanlp recipes`, then `metanlp train demo/numbers`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Number = TypeVar("Number", int, float)
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="a shipped recipe's name, or a .yaml file of your own")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="change fields, as in stages.meta.train.steps=100")
]
RunPath = Annotated[str, typer.Argument(metavar="RUN", help="a run's folder, or one of its stages: runs/mine/joint")]
Info = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="facts, as target_language=zul_Latn")]


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version and stop")] = False) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"metanlp {installed('metanlp')}")
        raise typer.Exit


def facts_of(pairs: list[str] | None) -> dict[str, Any]:
    facts = dict(pair.partition("=")[::2] for pair in pairs or [])
    if "" in facts or any("=" not in pair for pair in pairs or []):
        raise UserError("--info takes KEY=VALUE, as in --info target_language=zul_Latn")
    return facts


def numbers_of(text: str | None, kind: type[Number], option: str) -> list[Number]:
    """Those of a list as 1,2,3; UserError where one is no number above 0."""
    try:
        numbers = [kind(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        numbers = [kind(0)]
    if any(number <= 0 for number in numbers):
        raise UserError(f"{option} {text!r}: these should be numbers above 0, separated by commas")
    return numbers


def quiet() -> None:
    """Our own progress bars are enough."""
    from transformers.utils import logging

    logging.disable_progress_bar()
