"""What a model reads and which pieces its loss is about, in some training examples: `metanlp check --show-mask`."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

from rich.console import Console
from rich.text import Text

from metanlp.batch import IGNORED
from metanlp.run import Parts, Run

TASKS_SHOWN = 3
READ, LEARNT = "dim", ("bold green", "bold cyan")  # two, so that one sees where a piece ends


def about_masks(run: Run, parts: Parts, colour: bool) -> Iterator[str]:
    """An example each of some training tasks. Without colour, every piece of the loss stands in brackets."""
    split = parts.collection.split("train")
    for number in range(min(TASKS_SHOWN, len(split))):
        name = split.names[number * len(split) // TASKS_SHOWN if len(split) > TASKS_SHOWN else number]
        task = split.task(name)
        example = task.examples[len(task.examples) // 2]
        read, learnt = mask_of(parts.backbone, run.recipe.task.prompt_of(name, task.info, example))
        yield f"example of {name}: {len(read)} pieces are read, {len(learnt)} are learnt"
        yield _painted(parts.backbone, read, learnt) if colour else _bracketed(parts.backbone, read, learnt)


def mask_of(backbone: Any, prompt: Any) -> tuple[list[int], list[int]]:
    """The pieces that are read before any is predicted, and those of the loss, out of the very batch that is trained on."""
    batch = backbone.encode([[prompt]])
    ids, learnt = batch.inputs["input_ids"][0].tolist(), batch.labels[0][batch.labels[0] != IGNORED].tolist()
    apart = "decoder_input_ids" in batch.inputs
    return (ids if apart else ids[: len(ids) + 1 - len(learnt)]), learnt


def _bracketed(backbone: Any, read: list[int], learnt: list[int]) -> str:
    return f"  {backbone.tokenizer.decode(read)}" + "".join(f"[{piece}]" for piece in _pieces(backbone, learnt))


def _painted(backbone: Any, read: list[int], learnt: list[int]) -> str:
    text = Text(f"  {backbone.tokenizer.decode(read)}", style=READ)
    for place, piece in enumerate(_pieces(backbone, learnt)):
        text.append(piece, style=f"not dim {LEARNT[place % 2]}")
    written = StringIO()
    Console(file=written, force_terminal=True, color_system="standard", soft_wrap=True).print(text, end="")
    return written.getvalue()


def _pieces(backbone: Any, learnt: list[int]) -> list[str]:
    """Each as text; of a character in several pieces, and of a space that a tokenizer writes before words, only what shows."""
    return [backbone.target_tokenizer.decode([piece]) for piece in learnt]
