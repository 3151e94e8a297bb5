"""`metanlp check`: everything that can go wrong before training, told at once, and what training will cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metanlp.config import Recipe
from metanlp.data.collection import TaskCollection
from metanlp.data.leaks import find_leaks
from metanlp.data.sampler import EpisodeSampler, columns_of, few_shots, shortages, some_of
from metanlp.errors import Problems, UserError
from metanlp.masks import about_masks
from metanlp.run import Run
from metanlp.tokens import about_cuts, cuts_of

SHOWN = 5  # leaks and shortages named, of each kind
FLOPS = 1e11  # a second on one CPU core or so, for a rough time


def check_recipe(recipe: Recipe, name: str, *, show_mask: bool = False, colour: bool = False) -> str:
    """What was found, line by line, with some examples' masks where asked for. UserError with all problems there are."""
    problems = Problems(f"recipe {name}")
    task: Any = recipe.task
    collection: TaskCollection = task.load()
    stages = f"{_counted(len(recipe.stages), 'stage')}, {' -> '.join(recipe.stages)}"
    lines = [f"recipe {name}: {stages}", *_about(collection)]
    _add_some(problems, [f"leak: {leak}" for leak in find_leaks(collection)], "leak")
    drawable = _check_episodes(recipe, collection, problems)
    lines += _about_columns(recipe, collection, problems)
    if drawable:
        with tempfile.TemporaryDirectory() as folder:
            try:
                run = Run.create(recipe, Path(folder) / "check")
                lines += _about_model(run, show_mask, colour)
            except UserError as error:
                problems.add(str(error))
    problems.raise_if_any()
    return "\n".join([*lines, "no problems found"])


def _about(collection: TaskCollection) -> Iterator[str]:
    yield f"collection {collection.path}: {collection.facts.licence}; {collection.facts.source}"
    for split in collection.splits.values():
        sizes = split.sizes
        smallest, largest = (int(sizes.min()), int(sizes.max())) if len(split) else (0, 0)
        counts = f"{len(split):6,} tasks, {int(sizes.sum()):10,} examples"
        together = f", in {int(split.groups.sum()):,} dialogues" if split.grouped else ""
        yield f"  {split.split:5} {counts}, {smallest:,} to {largest:,} a task{together}"
    if "test" not in collection.splits:
        yield "  warning: there is no split test, which `metanlp evaluate` measures on unless --split says otherwise"
    if collection.rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(collection.rejected.items()))
        yield f"  left out: {reasons}; each is listed in {collection.rejected_path}"


def _check_episodes(recipe: Recipe, collection: TaskCollection, problems: Problems) -> bool:
    """Whether episodes can be drawn for training; what stands in the way of that, or of validating, goes to `problems`."""
    before = len(problems.found)
    for name, stage in recipe.stages.items():
        try:
            split = collection.split("train").share(*stage.train.share, seed=recipe.seed)
            EpisodeSampler(split, 0, stage.train.support, stage.train.query, stage.train.temperature)
        except UserError as error:
            problems.add(f"stages.{name}: {error}")
    drawable = len(problems.found) == before
    asking = [f"stages.{name}" for name, stage in recipe.stages.items() if stage.train.validate_every]
    if asking:
        if "valid" not in collection.splits:
            problems.add(
                f"train.validate_every is set in {', '.join(asking)}, but the collection has no split 'valid'; make one, or "
                "set it to 0"
            )
        else:
            valid = collection.splits["valid"]
            short = shortages(valid, few_shots(valid))
            _add_some(problems, [f"valid: {text} (train.validate_every)" for text in short], "valid task")
    return drawable


def _about_columns(recipe: Recipe, collection: TaskCollection, problems: Problems) -> Iterator[str]:
    """Warnings of tasks that some of `evaluation.shots` leave out; numbers that are too large for all are problems."""
    for name, whole in collection.splits.items():
        if name == "train":
            continue
        split = some_of(whole, recipe.evaluation.tasks)
        try:
            columns = columns_of(split, recipe.evaluation.shots, recipe.evaluation.protocol)
        except UserError as error:
            problems.add(f"{error} (evaluation.shots)")
            continue
        for shots, names in columns.items():
            if left_out := sorted(set(split.names) - set(names)):
                more = f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
                yield (
                    f"  warning: {name}: {len(left_out)} of {_counted(len(split), 'task')} have too few examples for {shots} "
                    f"shots and a query, and are left out there: {', '.join(left_out[:SHOWN])}{more} (evaluation.shots)"
                )


def _add_some(problems: Problems, found: Sequence[str], thing: str) -> None:
    """The first few; how many more there are, in one line."""
    for text in found[:SHOWN]:
        problems.add(text)
    if len(found) > SHOWN:
        problems.add(f"and {_counted(len(found) - SHOWN, f'{thing}')} more")


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _about_model(run: Run, show_mask: bool, colour: bool) -> Iterator[str]:
    """What is known before any stage is trained: each one's fast weights, on the backbone's own weights."""
    parts = run.build("cpu", untrained=True)
    weights = sum(weight.numel() for weight in parts.learner.model.parameters())
    new = f"; new in its vocabulary: {_counted(len(rows), 'row')}" if (rows := parts.backbone.new_rows) else ""
    yield f"backbone: {type(parts.learner.model).__name__}, {weights / 1e6:,.2f}M weights{new}"
    found = cuts_of(run, parts)
    yield from about_cuts(found)
    if show_mask:
        yield from about_masks(run, parts, colour)
    multiplied = weights - _looked_up(parts.learner.model)
    built = run.fast_weights
    for name, stage in run.recipe.stages.items():
        if run.at(name).fast_weights != built:
            parts, built = run.at(name).build("cpu", untrained=True), run.at(name).fast_weights
        fast = parts.learner.fast
        learnt = sum(weight.numel() for weight in fast.parameters.values())
        copies = 3 if fast.stackable else 5  # gradient and AdamW's moments; the fast weights and their gradient besides
        gib = (4 * weights + 4 * learnt * copies) / 2**30
        passes = stage.train.steps * stage.train.meta_batch * (stage.train.support + stage.train.query)
        time = _time(6 * multiplied * passes * found.pieces_an_example / FLOPS)
        yield f"stage {name}: {learnt / 1e6:,.2f}M fast weights ({built.kind}), {passes:,} passes of an example"
        yield f"  in the order of {time} on one CPU core; about {gib:,.1f} GiB of memory, and activations on top"


def _looked_up(model: Any) -> int:
    """Weights of an embedding that is read row by row and in no product, as an output layer tied to it would be."""
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    tied = outputs is not None and outputs.weight.shape == inputs.weight.shape
    return 0 if tied else int(inputs.weight.numel())


def _time(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return _counted(max(1, round(seconds)), "second")
