"""How meta-training scales over processes: measured with 1 and 2, and on paper with 8, 64 and 512 GPUs.

    python benchmarks/scaling.py                                        # translation/tatoeba_tiny_fomaml on two cores
    python benchmarks/scaling.py --steps 2 --blocks 1                    # for a look
    python benchmarks/scaling.py dialogue/chitchat_smollm2_lora_fomaml backbone.model=backbones/smollm2 --faster 200

Measured: the recipe's last stage, by `metanlp train`'s own loop, in 1 process and in 2, one thread each: the same steps on the
same episodes, wall time, the first step left out. A block has both; the ratio is the median over blocks. What ranks
exchange in a step is counted where they do. (An LoRA stack holds as many episodes as a process has, so set
`stages.meta.train.tasks_per_stack` where both are to run the same stacks.)

On paper: every GPU has as many stacks of episodes in a step as one process had here (`--stacks`), so the meta-batch
grows with the GPUs. Assumed is that

- a stack takes a time drawn from those measured, each its own (the longest measured one is the longest there is); passes and the
  outer step go `--faster` times as fast, encoding and drawing do not;
- all wait for the slowest at the one reduction of a step, and nothing overlaps with it;
- the reduction is a ring: 2 (n - 1) / n times the bytes over the bandwidth, and 2 (n - 1) times the latency; up to 8 GPUs have
  `--inside` GB/s, more go by `--between`;
- every process draws what it trains on, and where stacks hold several episodes the whole meta-batch, to put those of like
  length together.

The share is that of one GPU's speed that each of them keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

from machine import keep

if TYPE_CHECKING:
    from metanlp.config.recipe import Recipe

RECIPE, WANTED = "translation/tatoeba_tiny_fomaml", 1.8
PROCESSES, GPUS, NODE = (1, 2), (1, 8, 64, 512), 8
TRIALS = 500


@dataclass(frozen=True)
class Measured:
    """What one process takes in a step."""

    stacks: Sequence[float]  # seconds of each, encoding included
    encoding: float  # seconds of a stack that are encoding
    drawing: float  # seconds of an episode
    outer: float  # seconds of the outer step
    bytes: int  # that are reduced
    per_process: int  # stacks in a step
    tasks: int  # episodes in a stack


@dataclass(frozen=True)
class Links:
    """Between GPUs: bytes a second inside a machine and between machines, seconds of a message."""

    inside: float
    between: float
    latency: float

    def reduction(self, gpus: int, size: int) -> float:
        """Seconds of a ring all-reduce."""
        bandwidth = self.inside if gpus <= NODE else self.between
        return 2 * (gpus - 1) / gpus * size / bandwidth + 2 * (gpus - 1) * self.latency


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default=RECIPE, help=f"by default {RECIPE}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as of `metanlp train`")
    parser.add_argument("--steps", type=int, default=3, help="outer steps of a block; default 3")
    parser.add_argument("--blocks", type=int, default=3, help="default 3")
    parser.add_argument(
        "--stacks", type=int, help="stacks of a GPU in a step, on paper; by default those of one process"
    )
    parser.add_argument("--faster", type=float, default=1.0, help="passes of a GPU beside those measured; default 1")
    parser.add_argument("--inside", type=float, default=300.0, help="GB/s between GPUs of a machine; default 300")
    parser.add_argument("--between", type=float, default=25.0, help="GB/s between machines; default 25")
    parser.add_argument("--latency", type=float, default=10.0, help="microseconds of a message; default 10")
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    parser.add_argument("--rank-of", nargs=2, metavar=("FOLDER", "STAGE"), help=argparse.SUPPRESS)
    asked = parser.parse_intermixed_args()
    recipe = recipe_of(asked)
    if asked.rank_of:
        train(recipe, Path(asked.rank_of[0]), asked.rank_of[1])
        return
    blocks = measure(recipe)
    found = measured(recipe, blocks)
    links = Links(asked.inside * 1e9, asked.between * 1e9, asked.latency * 1e-6)
    paper = [on_paper(found, links, gpus, asked.stacks or found.per_process, asked.faster) for gpus in GPUS]
    print(table(blocks, found, paper))
    if asked.json:
        keep(asked.json, {"blocks": blocks, "paper": paper})


def recipe_of(asked: argparse.Namespace) -> Recipe:
    from watching import steps_of

    from metanlp.config import load_recipe

    recipe = load_recipe(asked.recipe, *asked.overrides)
    return steps_of(recipe, recipe.result, asked.steps, asked.blocks)


def measure(recipe: Recipe) -> list[dict[str, Any]]:
    """For each block and number of processes the laps of every rank."""
    from metanlp.run import Run

    with tempfile.TemporaryDirectory() as folder:
        places = {count: Path(folder) / str(count) for count in PROCESSES}
        Run.create(recipe, places[1])
        for count in PROCESSES[1:]:
            shutil.copytree(places[1], places[count])
        blocks = []
        for stage in recipe.stages:
            blocks.append({str(count): laps_of(places[count], stage, count) for count in PROCESSES})
        return blocks


def laps_of(place: Path, stage: str, processes: int) -> list[list[dict[str, Any]]]:
    """Trains a stage in so many processes; the laps of each."""
    print(f"{stage}, {processes} processes", file=sys.stderr)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    command = [sys.executable, *launch, *sys.argv, "--rank-of", str(place), stage]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=sys.stderr)
    return [json.loads((place / f"{stage}-{rank}.json").read_text()) for rank in range(processes)]


def train(recipe: Recipe, place: Path, stage: str) -> None:
    """One rank: trains the stage and writes its laps beside it."""
    import torch
    from accelerate import Accelerator
    from machine import wall_clock
    from watching import watching

    from metanlp.run import Run
    from metanlp.training import train_stage

    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    run = Run.create(recipe, place).at(stage)
    with watching(recipe, stage, wall_clock) as watch:
        train_stage(run, accelerator, [])
    _, *laps, _ = watch.laps
    told = [
        {
            "seconds": lap.seconds,
            "stacks": lap.stacks,
            "tasks": list(map(len, lap.episodes)),
            "bytes": lap.bytes,
            "real": lap.real,
        }
        for lap in laps
    ]
    (place / f"{stage}-{accelerator.process_index}.json").write_text(json.dumps(told))
    accelerator.end_training()


def measured(recipe: Recipe, blocks: Sequence[dict[str, Any]]) -> Measured:
    """From the runs in one process."""
    from watching import REST

    laps = [lap for block in blocks for lap in block["1"][0]]
    stacks = [seconds for lap in laps for seconds in lap["stacks"]]
    episodes = sum(sum(lap["tasks"]) for lap in laps)
    return Measured(
        stacks=stacks,
        encoding=sum(lap["seconds"]["encoding"] for lap in laps) / len(stacks),
        drawing=sum(lap["seconds"]["drawing"] for lap in laps) / episodes,
        outer=fmean(lap["seconds"][REST] for lap in laps),
        bytes=laps[0]["bytes"],
        per_process=len(laps[0]["stacks"]),
        tasks=max(laps[0]["tasks"]),
    )


def on_paper(found: Measured, links: Links, gpus: int, stacks: int, faster: float = 1.0) -> dict[str, float]:
    """Seconds of a step of so many GPUs by what they are spent on, and the share of one GPU's speed that each keeps."""
    import numpy as np

    each = (np.array(found.stacks) - found.encoding) / faster + found.encoding
    passes = float(each.mean()) * stacks
    drawn = np.random.default_rng(0).choice(each, (TRIALS, gpus, stacks)).sum(2)
    episodes = stacks * found.tasks
    parts = {
        "stacks": passes,
        "waiting": max(0.0, float(drawn.max(1).mean()) - passes) if gpus > 1 else 0.0,
        "drawing": found.drawing * episodes * (gpus if found.tasks > 1 else 1),
        "reducing": links.reduction(gpus, found.bytes),
        "outer step": found.outer / faster,
    }
    alone = passes + found.drawing * episodes + parts["outer step"]
    return {"gpus": gpus} | parts | {"step": sum(parts.values()), "share": alone / sum(parts.values())}


def table(blocks: Sequence[dict[str, Any]], found: Measured, paper: Sequence[dict[str, float]]) -> str:
    lines = [f"{'processes':<12}{'s a step':>10}{'pieces/s':>10}{'reducing':>10}{'drawing':>10}"]
    for count in PROCESSES:
        of_ranks = [laps for block in blocks for laps in block[str(count)]]
        first = [lap for block in blocks for lap in block[str(count)][0]]
        step, total = fmean(map(seconds_of, first)), sum(lap["real"] for laps in of_ranks for lap in laps) / len(first)
        shares = [part_of(of_ranks, name) for name in ("reducing", "drawing")]
        lines.append(f"{count:<12}{step:>10.3f}{total / step:>10,.0f}" + "".join(f"{share:>10.1%}" for share in shares))
    ratios = [sum(map(seconds_of, block["1"][0])) / sum(map(seconds_of, block["2"][0])) for block in blocks]
    spread = stdev(found.stacks) / fmean(found.stacks) if len(found.stacks) > 1 else 0.0
    low, high = min(ratios), max(ratios)
    lines += [
        f"2 processes are {median(ratios):.2f} times as fast as 1 [{low:.2f}, {high:.2f}]; wanted: {WANTED} or more",
        f"a step reduces {found.bytes:,} bytes, once",
        f"a stack, of {found.tasks} episodes, takes {fmean(found.stacks):.3f} s +/- {spread:.0%}; a process has "
        f"{found.per_process} in a step",
        "",
        "on paper, ms a step:",
    ]
    names = [name for name in paper[0] if name not in ("gpus", "share")]
    lines.append(f"{'GPUs':<8}" + "".join(f"{name:>12}" for name in names) + f"{'share':>8}")
    for row in paper:
        cells = "".join(f"{row[name] * 1e3:>12,.1f}" for name in names)
        lines.append(f"{row['gpus']:<8}{cells}{row['share']:>8.0%}")
    return "\n".join(lines)


def seconds_of(lap: dict[str, Any]) -> float:
    return float(sum(lap["seconds"].values()))


def part_of(of_ranks: Sequence[Sequence[dict[str, Any]]], name: str) -> float:
    """Of all ranks' time."""
    laps = [lap for laps in of_ranks for lap in laps]
    return float(sum(lap["seconds"].get(name, 0.0) for lap in laps) / sum(map(seconds_of, laps)))


if __name__ == "__main__":
    main()
