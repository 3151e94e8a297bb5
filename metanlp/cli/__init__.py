"""The verbs, a function each, in files by what they are about.

Each imports what it needs when it is called, so that `--help` answers at once. The order here is the order of `--help`.
"""

# ruff: noqa: F401, I001
import metanlp.cli.recipes
import metanlp.cli.learning
import metanlp.cli.using
import metanlp.cli.talking
import metanlp.cli.looking
from metanlp.cli._app import app

__all__ = ["app"]
