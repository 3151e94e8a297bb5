"""From the command to the first outer step: what `metanlp train` does until then, and how long it takes.

    python benchmarks/startup.py debug/numbers      # any recipe whose data is there; a minute
    python benchmarks/startup.py translation/mine.yaml stages.meta.train.meta_batch=2 --json startup.json

The command runs in a process of its own, in a new folder, and again in the same one; it stops where its first outer step
begins. Seconds are those of one processor (one thread, other processes' time left out), the median of three times:

- imports: Python, and what the command imports; torch, transformers and accelerate alone are the floor that anybody pays;
- data: opening the collection, however often (its files have been read before: see `benchmarks/data.py`);
- made once: the tokenizer and the weights of a model from scratch, or a longer vocabulary;
- model: loaded or built, with its fast weights;
- the rest: the recipe, the folder, the trackers, and for algorithms with an inner loop the check that it moves the loss.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from machine import keep
from watching import Watch

TIMES = 3
FLOOR = "import torch, transformers, accelerate, time; print(time.process_time())"
PARTS = ("imports", "data", "made once", "model", "the rest", "in all")
KINDS = ("a new run", "again")


class Begun(BaseException):
    """The first outer step begins; nothing on the way out may take it for an error."""


def start(recipe: str, folder: Path, overrides: list[str]) -> dict[str, float]:
    """Processor seconds by part of `metanlp train`, in this process, up to its first outer step."""
    from metanlp import training
    from metanlp.cli import app
    from metanlp.data.collection import TaskCollection
    from metanlp.run import Run

    spent, watch = {"imports": time.process_time()}, Watch(time.process_time)

    def stop(*given: Any) -> Any:
        raise Begun

    with (
        patch.object(TaskCollection, "open", watch.clocked("data", TaskCollection.open)),
        patch.object(Run, "prepare", watch.clocked("made once", Run.prepare)),
        patch.object(Run, "build", watch.clocked("model", Run.build)),
        patch.object(training.EpisodeSampler, "at_step", stop),
    ):
        try:
            app(["train", recipe, *overrides, "--out", str(folder)], standalone_mode=False)
        except Begun:
            whole = time.process_time()
            spent |= {part: watch.lap.seconds[part] for part in PARTS[1:4]}
            return spent | {"the rest": whole - sum(spent.values()), "in all": whole}
    raise SystemExit(f"{recipe} has no outer step to begin: the run in {folder} is trained to its end")


def measure(recipe: str, overrides: list[str]) -> dict[str, Any]:
    """Seconds by part, of every time."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    floor = []
    for _ in range(TIMES):
        floor.append(float(answer_of([sys.executable, "-c", FLOOR])))
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, recipe, *overrides, "--start", f"{folder}/run"]
            for kind in KINDS:
                begun = time.perf_counter()
                told = json.loads(answer_of(command).splitlines()[-1])
                found[kind].append(told | {"by the clock": time.perf_counter() - begun})
    return {"recipe": recipe, "overrides": overrides, "floor": floor, "found": found}


def answer_of(command: list[str]) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def table(told: dict[str, Any]) -> str:
    floor = median(told["floor"])
    lines = [f"| {told['recipe']}, seconds | {' | '.join(KINDS)} |", "|---|---:|---:|"]
    for part in (*PARTS, "by the clock"):
        middle = [median(times[part] for times in told["found"][kind]) for kind in KINDS]
        lines.append(f"| {part} | {' | '.join(f'{seconds:.2f}' for seconds in middle)} |")
        if part == "in all":
            lines.append(
                f"| of the floor, {floor:.2f} | {' | '.join(f'{seconds / floor:.2f}' for seconds in middle)} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a shipped recipe's name, or a .yaml file")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="change fields")
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_intermixed_args()
    if asked.start:
        print(json.dumps(start(asked.recipe, asked.start, asked.overrides)))
        return
    told = measure(asked.recipe, asked.overrides)
    print(table(told))
    if asked.json:
        keep(asked.json, told)


if __name__ == "__main__":
    main()
