"""What a whole outer step costs, beside transformers' Trainer with the same model on the same texts.

    python benchmarks/whole_step.py                                     # translation/tatoeba_tiny_fomaml, some minutes
    python benchmarks/whole_step.py --steps 1 --blocks 1                 # for a look
    python benchmarks/whole_step.py dialogue/chitchat_smollm2_lora_fomaml backbone.model=backbones/smollm2 --json step.json

The recipe's last stage (or `--stage`) trains from the backbone's own weights by `metanlp train`'s own loop, whatever comes
before it: data, fast weights, batches and optimisers are the recipe's. Then Trainer trains the model that this has saved
(whole, or of PEFT) on the same examples, support and query alike, in random order: as many rows in a batch as an inner step
reads, AdamW, the recipe's precision, and what else Trainer does unasked. Both go through every example once. That is one
block; the ratio is the median over blocks. The first outer step, and as many texts of Trainer's, only warm up.

What is fair here, and what not: Trainer moves the weights after every batch, as an inner loop does; it pads random texts;
it tokenises before the clock starts, metanlp while it runs. Of a causal model Trainer computes the logits of all pieces, as
everybody's does, metanlp those of replies.

Time is CPU time of one thread (`--threads`), or wall time where there is a GPU, which is waited for at the end of each
section. Pieces are those read and, by a decoder, written; padding is told beside them and not counted. Of the ceiling, what
the machine reaches in products of square matrices of 2,048: the operations that torch counts in a pass, padding included,
over the time of the whole step.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from machine import keep
from watching import PASSES, REST, SECTIONS, Lap

if TYPE_CHECKING:
    from accelerate import Accelerator

    from metanlp.run import Run

RECIPE = "translation/tatoeba_tiny_fomaml"
RATIO, PADDING, OVERHEAD = 0.9, 0.15, 0.05  # wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default=RECIPE, help=f"by default {RECIPE}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as of `metanlp train`")
    parser.add_argument("--stage", help="which stage; by default the last")
    parser.add_argument("--steps", type=int, default=3, help="outer steps of a block; default 3")
    parser.add_argument("--blocks", type=int, default=3, help="default 3")
    parser.add_argument(
        "--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"], help="default both"
    )
    parser.add_argument("--threads", type=int, default=1, help="default 1")
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    asked = parser.parse_intermixed_args()
    rows = [measure(asked, precision) for precision in asked.precision]
    print(table(rows))
    if asked.json:
        keep(asked.json, {"recipe": asked.recipe, "overrides": asked.overrides, "rows": rows})


def measure(asked: argparse.Namespace, precision: str) -> dict[str, Any]:
    """The blocks of one precision, and the machine's ceiling beside them."""
    import torch
    from accelerate import Accelerator
    from machine import ceilings, fair_clock
    from transformers.utils import logging
    from watching import steps_of

    from metanlp.config import load_recipe
    from metanlp.run import Run

    torch.set_num_threads(asked.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    recipe = load_recipe(asked.recipe, *asked.overrides, f"precision={precision}")
    recipe = steps_of(recipe, asked.stage or recipe.result, asked.steps, asked.blocks)
    most, blocks = ceilings(fair_clock()), []
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(recipe, Path(folder) / "run")
        for stage in recipe.stages:
            print(f"{precision}, {stage}", file=sys.stderr)
            cpu = not torch.cuda.is_available()
            blocks.append(of_a_block(run.at(stage), Accelerator(cpu=cpu), Path(folder)))
    return {"precision": precision, "ceiling": most, "blocks": blocks}


def of_a_block(run: Run, accelerator: Accelerator, folder: Path) -> dict[str, Any]:
    """Both sides on the same texts."""
    from machine import fair_clock
    from plain_training import train_plainly
    from watching import watching

    from metanlp.training import train_stage

    now = fair_clock()
    with watching(run.recipe, run.stage, now) as watch:
        train_stage(run, accelerator, [])
    warm, *laps, _ = watch.laps  # the last is what comes after the last reduction
    stacks = [stack for lap in laps for stack in lap.episodes]
    episodes = [episode for stack in stacks for episode in stack]
    algorithm, train = run.recipe.stages[run.stage].algorithm, run.recipe.stages[run.stage].train
    rows = max(map(len, stacks)) * (train.support // algorithm.inner_steps or train.query)
    before = [episode for stack in warm.episodes for episode in stack]
    plain = train_plainly(run, before, episodes, rows, folder / "trainer", now)
    told = {"meta": summed(laps), "Trainer": summed(plain)}
    told["meta"]["operations"] = warm.operations / warm.pieces * told["meta"]["pieces"]
    return told


def summed(laps: Sequence[Lap]) -> dict[str, Any]:
    names = [name for name in SECTIONS if any(lap.seconds.get(name) for lap in laps)]
    seconds = {name: sum(lap.seconds.get(name, 0.0) for lap in laps) for name in names}
    return {
        "seconds": seconds,
        "real": sum(lap.real for lap in laps),
        "pieces": sum(lap.pieces for lap in laps),
        "steps": len(laps),
    }


def rate(side: dict[str, Any]) -> float:
    """Pieces a second."""
    return float(side["real"] / sum(side["seconds"].values()))


def padding(side: dict[str, Any]) -> float:
    return float(1 - side["real"] / side["pieces"])


def share(side: dict[str, Any], name: str) -> float:
    """Of the time."""
    return float(side["seconds"].get(name, 0.0) / sum(side["seconds"].values()))


def of_the_ceiling(row: dict[str, Any], block: dict[str, Any]) -> float:
    meta = block["meta"]
    reached = meta["operations"] / sum(meta["seconds"].values()) / 1e9
    return float(reached / row["ceiling"][row["precision"]])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Medians over blocks, a column for each side of each precision; then what is wanted."""
    sides = [(row, side) for row in rows for side in ("meta", "Trainer")]
    lines = [" " * 24 + "".join(f"{row['precision'] + ' ' + side:>15}" for row, side in sides)]

    def line(name: str, form: str, number: Any) -> None:
        cells = (median(number(block[side]) for block in row["blocks"]) for row, side in sides)
        lines.append(f"{name:<24}" + "".join(f"{cell:>15{form}}" for cell in cells))

    line("pieces a second", ",.0f", rate)
    line("padding", ".1%", padding)
    for name in SECTIONS:
        line("the rest" if name == REST else name, ".1%", lambda side, name=name: share(side, name))
    for row in rows:
        blocks, name = row["blocks"], row["precision"]
        ratios = [rate(block["meta"]) / rate(block["Trainer"]) for block in blocks]
        reached = median(of_the_ceiling(row, block) for block in blocks)
        outside = median(1 - share(block["meta"], PASSES) for block in blocks)
        padded = median(padding(block["meta"]) for block in blocks)
        low, high = min(ratios), max(ratios)
        lines += [
            "",
            f"{name}: {median(ratios):.2f} of Trainer's pieces a second [{low:.2f}, {high:.2f}]; wanted: {RATIO} or more",
            f"{name}: {padded:.1%} of the pieces are padding; wanted: at most {PADDING:.0%}",
            f"{name}: {outside:.1%} of the time is outside forward and backward; wanted: at most {OVERHEAD:.0%}",
            f"{name}: {reached:.0%} of the ceiling, {row['ceiling'][name]:.0f} GFLOP/s",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
