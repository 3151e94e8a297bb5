"""Verbs about recipes: list, show, copy, check."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from metanlp.cli._app import Overrides, RecipeName, app, quiet
from metanlp.errors import UserError


@app.command()
def recipes() -> None:
    """List the shipped recipes and what they are for."""
    from metanlp.config.load import recipe_names, recipe_path

    width = max(map(len, recipe_names()))
    for name in recipe_names():
        text = recipe_path(name).read_text(encoding="utf-8")
        lines = [line[1:].strip() for line in text.splitlines() if line[:1] == "#"]
        print(f"{name:{width}}  {lines[1] if len(lines) > 1 else ''}")


@app.command()
def show(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Print a recipe in full, every field with its help.

    It is what `train` would run, and can be saved as a recipe of your own.
    """
    from metanlp.config import load_recipe
    from metanlp.config.explain import explained

    print(explained(load_recipe(recipe, *overrides or [])), end="")


@app.command()
def copy(
    recipe: RecipeName, target: Annotated[Path, typer.Argument(metavar="MY.yaml", help="the file to write")]
) -> None:
    """Start a recipe of your own from a shipped one."""
    from metanlp.config.load import recipe_path

    if target.suffix not in (".yaml", ".yml"):
        raise UserError(f"{target}: a recipe's file name ends in .yaml")
    if target.exists():
        raise UserError(f"{target} exists already; choose another name or remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    text = recipe_path(recipe).read_text(encoding="utf-8")
    target.write_text(text.replace(f"metanlp train {recipe}\n", f"metanlp train {target}\n", 1), encoding="utf-8")
    print(f"wrote {target}; edit it, then: metanlp check {target}")


@app.command()
def check(
    recipe: RecipeName,
    overrides: Overrides = None,
    show_mask: Annotated[
        bool, typer.Option("--show-mask", help="print some examples, with the pieces that the loss is about")
    ] = False,
) -> None:
    """Look for problems without training, and tell all at once.

    In the recipe, the data (leaks too), the tokenizer, and what training will cost.
    """
    from metanlp.checking import check_recipe
    from metanlp.config import load_recipe

    quiet()
    colour = sys.stdout.isatty()
    print(check_recipe(load_recipe(recipe, *overrides or []), recipe, show_mask=show_mask, colour=colour))
