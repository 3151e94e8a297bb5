"""The recipe: the complete, typed description of a run."""

from metanlp.config.load import load_recipe, recipe_names
from metanlp.config.options import Options
from metanlp.config.recipe import Recipe, Stage

__all__ = ["Options", "Recipe", "Stage", "load_recipe", "recipe_names"]
