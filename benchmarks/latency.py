"""How long adapting and translating take, beside plain PyTorch, `peft` and transformers' `generate`.

    python benchmarks/latency.py RUN                    # a quarter of an hour on one core
    python benchmarks/latency.py RUN --sentences 64 --languages 4    # for a look
    python benchmarks/latency.py RUN --json latency.json

RUN is a trained translation run. The language is the test task with the most examples.

- adapt: the language from 64 pairs, in the steps that the run adapts with. Plain passes, the floor, go forward and backward
  over the same batches, made ready before; by hand is a loop of torch's optimiser over the same pairs, as often. What
  `metanlp adapt` takes, which chooses its steps on held-out pairs, is told besides.
- languages: 32 of them, 4 steps each, in one stack and one after another; adapters only. Where the run has fewer test
  tasks, some come twice.
- translate: 1,000 sentences, with the adapted weights. Plain loads what `metanlp adapt` saves and calls `generate` on
  batches as large, with as many beams and pieces: of sentences as they come, then of like lengths as metanlp's are, then
  with the adapters merged. At equal batches the texts of two batches must be the same, or nothing is timed.

Seconds are those of one processor (one thread, other processes' time left out), the sides in turn: the median of three
blocks, and of its ratios to the first side of the same block, with the extremes. MB is what a side adds at its peak to the
memory of a process of its own; in translating, for the longest two batches.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

from latency_sides import BY_LENGTH, OURS, STACK_STEPS, Latency, Sides
from machine import keep, measure_memory, measure_time

WORK = ("adapt", "languages", "translate")


def measure(latency: Latency, work: str) -> dict[str, dict[str, Any]]:
    """Seconds by block of every side and, of texts, how many are the same as metanlp's and their pieces."""
    sides: Sides = getattr(latency, work)()
    if work == "translate":
        require_same_texts(latency, sides)
    found: dict[str, dict[str, Any]] = {
        name: {"seconds": seconds} for name, seconds in measure_time(sides, 0.0).items()
    }
    for name, texts in latency.written.items():
        same = sum(one == other for one, other in zip(texts, latency.written[OURS], strict=True))
        found[name] |= {"same": same, "pieces": latency.pieces(texts)}
    return found


def require_same_texts(latency: Latency, sides: Sides) -> None:
    """SystemExit where `generate` writes something else for the texts of two batches, which are the same batches."""
    texts, latency.texts = latency.texts, latency.texts[: 2 * latency.asked.rows]
    for name in (BY_LENGTH, OURS):
        sides[name]()
    latency.texts = texts
    for plain, ours in zip(latency.written[BY_LENGTH], latency.written[OURS], strict=True):
        if plain != ours:
            raise SystemExit(f"`generate` writes {plain!r} where metanlp writes {ours!r}: not the same work")
    latency.written.clear()


def added_memory(latency: Latency, work: str, side: str) -> float:
    """MB that a side adds at its peak to what is there after a first time, when all weights have been read."""
    latency.texts = sorted(latency.texts, key=len)[-2 * latency.asked.rows :]
    return measure_memory(getattr(latency, work)()[side])["peak_MB"]


def seconds_of_choosing(latency: Latency) -> float:
    """What `metanlp adapt` takes to choose its steps and to take them."""
    begun = time.process_time()
    latency.pipeline.learn("learnt", latency.episode.support, latency.episode.info)
    return time.process_time() - begun


def table(asked: argparse.Namespace, told: dict[str, Any]) -> str:
    steps, rows = told["steps"], told["rows"]
    heads = {
        "adapt": f"{told['language']} from {asked.pairs} pairs, {steps} steps of {rows}",
        "languages": f"{asked.languages} languages, {STACK_STEPS} steps of {rows} each",
        "translate": f"{asked.sentences:,} sentences, {asked.beams} beams, batches of {asked.rows}",
    }
    lines: list[str] = []
    for work, found in told["found"].items():
        if not found:
            lines += [f"{heads[work]}: full weights adapt one after another", ""]
            continue
        texts = "pieces/s | texts as metanlp's | " if work == "translate" else ""
        lines += [f"| {heads[work]} | seconds | ratio | {texts}MB |", "|---|" + "---:|" * (5 if texts else 3)]
        first = next(iter(found.values()))["seconds"]
        for name, row in found.items():
            ratios = [own / floor for own, floor in zip(row["seconds"], first, strict=True)]
            seconds = median(row["seconds"])
            cells = [name, f"{seconds:.1f}", f"{median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"]
            if texts:
                cells += [f"{row['pieces'] / seconds:.0f}", f"{row['same']:,}"]
            lines.append(f"| {' | '.join(cells)} | {row['MB']:.0f} |")
        lines.append("")
    lines.append(f"`metanlp adapt`, which chooses its steps: {told['choosing_seconds']:.1f} s")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a trained translation run")
    parser.add_argument("--pairs", type=int, default=64, help="what a language is learnt from; default 64")
    parser.add_argument("--steps", type=int, default=None, help="of adapting one; default: the run's")
    parser.add_argument("--languages", type=int, default=32, help="how many at once; default 32")
    parser.add_argument("--sentences", type=int, default=1_000, help="how many to translate; default 1,000")
    parser.add_argument("--beams", type=int, default=4, help="width of the beam search; default 4")
    parser.add_argument("--new", type=int, default=64, help="most pieces of a translation; default 64")
    parser.add_argument("--rows", type=int, default=32, help="sentences in a batch; default 32")
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    parser.add_argument("--memory", nargs=2, metavar=("WORK", "SIDE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()  # of what `from_pretrained` does not find in the folder, as a pooler that nobody uses
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        latency = Latency(asked, Path(folder))
        if asked.memory:
            print(json.dumps(added_memory(latency, *asked.memory)))
            return
        found = {}
        for work in WORK:
            print(work, file=sys.stderr, flush=True)
            found[work] = measure(latency, work)
        choosing = seconds_of_choosing(latency)
    for work, rows in found.items():
        for side, row in rows.items():
            row["MB"] = memory_of(work, side)
    adapting = latency.adapting
    told = {"language": latency.episode.task, "steps": latency.steps, "rows": adapting.batch, "found": found}
    told["choosing_seconds"] = choosing
    print(table(asked, told))
    if asked.json:
        keep(asked.json, told)


def memory_of(work: str, side: str) -> float:
    """`added_memory` in a process of its own, with the same command line."""
    command = [sys.executable, __file__, *sys.argv[1:], "--memory", work, side]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
