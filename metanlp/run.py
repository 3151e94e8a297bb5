"""A run: the folder that a recipe produced, and the parts (family, backbone, learner) built from it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanlp.checkpoint import MANIFEST, commit, latest_checkpoint
from metanlp.config import Recipe
from metanlp.config.load import build_recipe
from metanlp.config.yaml import read_yaml, write_yaml
from metanlp.environment import environment_now
from metanlp.errors import UserError
from metanlp.shaping import begun, other_shapes

if TYPE_CHECKING:
    from metanlp.data.collection import TaskCollection
    from metanlp.data.types import Prompt
    from metanlp.learner import Learner

RECIPE, BACKBONE = "recipe.yaml", "backbone"


@dataclass(frozen=True)
class Parts:
    """What a run works with. Its data is opened when it is first asked for: a trained run does without."""

    task: Any  # the family, with what the recipe says of it
    backbone: Any
    learner: Learner

    @cached_property
    def collection(self) -> TaskCollection:
        collection: TaskCollection = self.task.load()
        return collection


@dataclass(frozen=True)
class Run:
    """A folder, the recipe in it, and which of the recipe's stages is meant."""

    folder: Path
    recipe: Recipe
    stage: str

    @classmethod
    def create(cls, recipe: Recipe, folder: Path) -> Run:
        """The run of `recipe` in `folder`, new or to be resumed; what is made once is made.

        How a run adapts and is measured may change later, and stages may come after those that have begun. UserError where
        another recipe has trained in that folder, and where data or backbone are not to be had: the corrected recipe then
        begins the run.
        """
        path = folder / RECIPE
        made_by = cls.open(folder).recipe if path.exists() else None
        if made_by is None or (made_by.dump() != recipe.dump() and not begun(made_by, folder)):
            shutil.rmtree(folder / BACKBONE, ignore_errors=True)  # of a beginning that came to nothing
            cls(folder, recipe, recipe.result).prepare()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "environment.json").write_text(json.dumps(environment_now(), indent=1))
        elif fields := other_shapes(made_by, recipe, folder):
            raise UserError(
                f"{folder} was made by another recipe (it differs in {', '.join(fields)}); choose another --out, or "
                "remove the folder to begin anew"
            )
        if made_by is None or made_by.dump() != recipe.dump():
            aside = path.with_suffix(f".{os.getpid()}.tmp")
            write_yaml(aside, recipe.dump())
            aside.replace(path)  # last and at once: with it, there is a run
        return cls(folder, recipe, recipe.result)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """A run by its folder, or one of its stages by `run/stage`; UserError where there is none."""
        folder = Path(path)
        stage = None
        if not (folder / RECIPE).is_file() and (folder.parent / RECIPE).is_file():
            folder, stage = folder.parent, folder.name
        if not (folder / RECIPE).is_file():
            raise UserError(f"{path} is not a run: there is no {RECIPE} in it; `metanlp runs` lists the runs")
        recipe = build_recipe(read_yaml(folder / RECIPE), subject=f"recipe {folder / RECIPE}")
        if stage is not None and stage not in recipe.stages:
            raise UserError(f"{folder} has no stage {stage!r}; its stages are {', '.join(recipe.stages)}")
        return cls(folder, recipe, stage or recipe.result)

    def at(self, stage: str) -> Run:
        return Run(self.folder, self.recipe, stage)

    @property
    def place(self) -> Path:
        """The folder of the stage that is meant."""
        return self.folder / self.stage

    @property
    def checkpoints(self) -> Path:
        return self.place / "checkpoints"

    @property
    def model(self) -> Path:
        """The slow weights of the finished stage, for `from_pretrained` or `peft`."""
        return self.place / "model"

    @property
    def last_checkpoint(self) -> Path:
        """Where the stage's weights are once it is trained to its last step."""
        return self.checkpoints / f"step-{self.recipe.stages[self.stage].train.steps:08d}"

    def finished(self) -> bool:
        """Whether the stage has been trained to its last step."""
        return (self.last_checkpoint / MANIFEST).is_file()

    @property
    def unfinished(self) -> UserError:
        """What to raise where the end of the stage is needed and it is not there."""
        return UserError(f"stage {self.stage!r} of {self.folder} is not trained to its end; `metanlp train` resumes it")

    @cached_property
    def id(self) -> str:
        """A name for the very weights of this stage: an Adaptation belongs to one `id`."""
        below = self.recipe.base_of(self.stage)
        parts = [(self.last_checkpoint / MANIFEST).read_bytes(), *([self.at(below).id.encode()] if below else [])]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]

    @property
    def fast_weights(self) -> Any:
        """Which weights the stage trains, and a task makes its own."""
        return self.recipe.fast_weights_of(self.stage)

    @property
    def base(self) -> str:
        """The model that the stage's fast weights belong to, and its adapters name as their base: a folder or Hub name."""
        below = self.recipe.base_of(self.stage)
        return str(self.at(below).whole.resolve()) if below else self.own_base

    @property
    def own_base(self) -> str:
        """Where the backbone's own weights are."""
        return self.recipe.backbone.base(self.folder / BACKBONE)

    @property
    def whole(self) -> Path:
        """The finished stage as a model without adapters, for stages with other fast weights to start from."""
        return self.place / "whole" if self.fast_weights.beside_a_base else self.model

    @property
    def exports(self) -> list[Path]:
        """The folders that the end of the stage leaves: its model, and that as a whole where a later stage needs it."""
        needed = any(self.recipe.base_of(stage) == self.stage for stage in self.recipe.stages)
        return [self.model, *([self.whole] if needed and self.whole != self.model else [])]

    def prepare(self) -> TaskCollection:
        """Make what is made once (the collection's Arrow files, a small or extended backbone); returns the collection."""
        collection: TaskCollection = self.recipe.task.load()
        self._make_backbone(lambda: collection)
        return collection

    def _make_backbone(self, load: Callable[[], TaskCollection]) -> None:
        recipe, home = self.recipe, self.folder / BACKBONE
        if home.exists():
            return
        if additions := recipe.task.additions():
            if extended := recipe.backbone.extend(additions):
                commit(home, extended.save)
        elif recipe.backbone.made:
            prompts = partial(_training_prompts, recipe.task, load())
            commit(home, lambda aside: recipe.backbone.prepare(aside, prompts, recipe.seed))

    def require_same_data(self, collection: TaskCollection) -> None:
        """UserError where the examples are not those that the run began with."""
        path = self.folder / "data.json"
        if not path.exists():
            facts = {"collection": str(collection.path), "digest": collection.digest}
            path.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        elif json.loads(path.read_text(encoding="utf-8"))["digest"] != collection.digest:
            raise UserError(
                f"the examples in {collection.path} have changed since {self.folder} began; choose another --out, or remove "
                "the folder to begin anew"
            )

    def build(self, device: Any = None, *, untrained: bool = False, max_length: int | None = None) -> Parts:
        """The parts with the weights of the stage's base, on `device` (by default a GPU where there is one).

        `untrained` takes the backbone's own weights instead, `max_length` lets it read so many pieces. UserError where the
        stage that makes the base is not trained to its end.
        """
        import torch

        from metanlp.learner import Learner

        recipe, below = self.recipe, self.recipe.base_of(self.stage)
        self._make_backbone(recipe.task.load)
        if below is not None and not untrained and not (self.at(below).whole / MANIFEST).is_file():
            raise self.at(below).unfinished
        opener = recipe.backbone.model_copy(update={"max_length": max_length}) if max_length else recipe.backbone
        backbone = opener.open(self.own_base if untrained else self.base)
        backbone.model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if recipe.gradient_checkpointing:
            save_memory(backbone.model)
        fast = self.fast_weights.attach(backbone.model, recipe.seed, backbone.new_rows)
        learner = Learner(backbone.model, fast, precision=recipe.precision, label_smoothing=recipe.label_smoothing)
        return Parts(recipe.task, backbone, learner)

    def trained(self, device: Any = None) -> Parts:
        """The parts with the weights that the stage has learnt; UserError where it is not trained to its end."""
        parts = self.build(device)
        self.load_learnt(parts.learner)
        return parts

    def load_learnt(self, learner: Learner) -> None:
        """Give `learner` the slow weights and rates at the end of this stage."""
        checkpoint = latest_checkpoint(self.checkpoints)
        if checkpoint is None or checkpoint.state["step"] < self.recipe.stages[self.stage].train.steps:
            raise self.unfinished
        learner.load(checkpoint.tensors["slow"], checkpoint.tensors.get("rates", {}))


def save_memory(model: Any) -> None:
    """Switch on gradient checkpointing, which newer transformers call activation checkpointing."""
    new = hasattr(model, "activation_checkpointing_enable")
    enable = model.activation_checkpointing_enable if new else model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _training_prompts(family: Any, collection: TaskCollection, most: int | None) -> Iterator[Prompt]:
    """What a model reads and writes in the training tasks; about `most` of it, evenly over tasks and along each task."""
    split = collection.split("train")
    for task in split:
        count = len(task.examples)
        share = count if most is None else max(1, most // len(split))
        for example in task.examples[:: max(1, -(-count // max(1, share)))]:
            yield family.prompt_of(task.name, task.info, example)
