"""What the inner loop costs, beside plain forward and backward passes over the same batches (the floor) and beside peers.

    python benchmarks/inner_loop               # full weights and LoRA; about half an hour on one core
    python benchmarks/inner_loop --quick       # a few repetitions, for a look
    python benchmarks/inner_loop --full        # up to 32 tasks, 16 sentences, and the shape of SmolLM2-135M; hours
    python benchmarks/inner_loop full-60M-4x1x16 lora-60M-8x1x16 --json inner_loop.json
    python benchmarks/inner_loop full-2M-4x2x16 --side 'plain + SGD'    # more blocks in the same time
    python benchmarks/inner_loop full-60M-4x1x16 --keep-pages    # as a process that trains

A case is a kind of fast weights, a size, and tasks x sentences x pieces. An episode is 5 inner steps and a query. Each side
runs it for each of the tasks, the sides in turn within every block; the table shows the median over blocks of CPU time (one
thread, other processes' time left out) as a ratio to the floor's in the same block, with quartiles. Models have random
weights. The sides:

- plain, the floor: a model (LoRA: of `peft`, r 8 on query and value, one task after another), `backward()`, gradients set
  to None;
- zeroed: the same with gradients that stay and are set to zero (LoRA's are too small to tell);
- plain + SGD: the floor with torch's own SGD step behind every pass, what moving the weights costs anyone;
- as one batch (LoRA): passes over the sentences of all tasks at once, by one adapter: the activations alone;
- metanlp, with SGD inside and none, clipping, Adam, or both;
- peers, with SGD inside: each has its meta-gradient compared with metanlp's first. The extra `peers` brings some.

MB is what a step adds at its peak to the memory of the process before it, measured in a process of its own, and what is
there before it more than in the floor's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from cases import Case

DEFAULT = (
    "full-2M-4x8x32",
    "full-2M-4x2x16",
    "full-60M-4x1x16",
    "lora-60M-8x1x16",
    "lora-60M-4x1x16",
    "lora-60M-8x2x32",
    "lora-60M-4x8x32",
)
FULL = (
    *DEFAULT,
    "full-2M-4x1x16",
    "full-2M-4x16x32",
    "full-60M-4x16x16",
    "full-135M-2x1x16",
    "full-135M-2x16x16",
    *(f"lora-{size}-{tasks}x1x16" for size in ("2M", "60M", "135M") for tasks in (1, 8, 32)),
    *(f"lora-{size}-{tasks}x16x16" for size in ("2M", "60M", "135M") for tasks in (1, 8)),
)


def measure(case: Case, seconds: float, chosen: list[str]) -> dict[str, Any]:
    """CPU seconds and memory by side, of all or the `chosen`, and why some are not there."""
    from machine import measure_time
    from measuring import in_processes
    from sides import Sides, names_of, refused, weighed

    missing = refused(case, chosen)
    maker = Sides(case)
    sides = {name: maker.make(name) for name in names_of(case, chosen) if name not in missing}
    for side in sides.values():
        side.run()
    spent = measure_time({name: side.run for name, side in sides.items()}, seconds)
    names = [name for name in weighed(case) if name in sides]
    del maker, side, sides  # the processes below need the room
    return {"case": str(case), "seconds": spent, "memory": in_processes(case, names), "missing": missing}


def table(kind: str, rows: list[dict[str, Any]], chosen: list[str]) -> str:
    """A line for every side: times, then memory."""
    from sides import names_of

    cases = [row["case"] for row in rows]
    heads = [kind, *cases, *(f"{case}, MB: a step, kept" for case in cases)]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for name in names_of(Case.read(cases[0]), chosen):
        cells = [name, *(time_cell(row, name) for row in rows), *(memory_cell(row, name) for row in rows)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def time_cell(row: dict[str, Any], name: str) -> str:
    if name in row["missing"]:
        return row["missing"][name]
    ratios = [own / floor for own, floor in zip(row["seconds"][name], row["seconds"]["plain"], strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return f"{median(ratios):.2f} [{low:.2f}, {high:.2f}]"


def memory_cell(row: dict[str, Any], name: str) -> str:
    if name not in row["memory"]:
        return ""
    here, floor = row["memory"][name], row["memory"]["plain"]
    return f"{here['peak_MB']:.0f}, {here['before_MB'] - floor['before_MB']:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", type=Case.read, help="by default a choice of them")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", dest="seconds", action="store_const", const=30, default=150, help="fewer blocks")
    length.add_argument("--full", action="store_true", help="more cases")
    parser.add_argument("--side", action="append", default=[], help="this one besides plain and metanlp; default: all")
    parser.add_argument(
        "--keep-pages",
        action="store_true",
        help="while times are taken all sides keep freed memory, as metanlp does in training and adapting",
    )
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.append(str(Path(__file__).parents[1]))  # its clocks serve here too
    import torch
    from machine import keep

    from metanlp.allocator import keep_pages

    torch.set_num_threads(1)
    if given.keep_pages:
        keep_pages()
    if given.memory:
        from measuring import memory_of

        print(json.dumps(memory_of(Case.read(given.memory[0]), given.memory[1])))
        return
    from sides import names_of

    rows: list[dict[str, Any]] = []
    cases = given.cases or [*map(Case.read, FULL if given.full else DEFAULT)]
    names = dict.fromkeys(name for case in cases for name in names_of(case))
    if odd := set(given.side) - names.keys():
        parser.error(f"--side: there is no {' nor '.join(sorted(odd))}; there are: {'; '.join(names)}")
    for case in cases:
        print(case, file=sys.stderr, flush=True)
        rows.append(measure(case, given.seconds, given.side))
        if given.json:
            keep(given.json, {"pages_kept": given.keep_pages, "rows": rows})
    way = ", pages kept" if given.keep_pages else ""
    print(f"{platform.machine()}, torch {torch.__version__}, one thread{way}; ratios to plain passes, [quartiles]")
    for kind in ("full", "lora"):
        of_kind = [row for row in rows if Case.read(row["case"]).kind == kind]
        if of_kind:
            print(f"\n{table(kind, of_kind, given.side)}")


if __name__ == "__main__":
    main()
