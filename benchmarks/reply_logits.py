"""What a pass of a causal model costs with the logits of every position, and with those of the replies alone.

    python benchmarks/reply_logits.py backbones/smollm2

Stacked LoRA on q, v and o, 4 tasks x 2 chats, forward and backward, one thread: CPU seconds (the median of three) and what
the process has grown by at most. Each row is a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from statistics import median
from typing import Any

from machine import measure_time, memory

TEXT = "the quick brown fox jumps over a lazy dog while I was watching from my window today"
ROWS = [("all", "fp32"), ("replies", "fp32"), ("replies", "bf16")]


def said(first: int, count: int) -> str:
    words = TEXT.split()
    return " ".join(words[(first + place) % len(words)] for place in range(count))


def with_all_logits(batch: Any) -> Any:
    """The same batch, its labels over the whole length."""
    import torch

    from metanlp.batch import IGNORED

    ids, places, learnt = batch.inputs["input_ids"], batch.inputs["logits_to_keep"], batch.labels
    labels = torch.full_like(ids, IGNORED)
    rows, columns = (learnt != IGNORED).nonzero(as_tuple=True)
    labels[rows, places[rows, columns]] = learnt[rows, columns]
    return replace(batch, inputs={"input_ids": ids}, labels=labels)


def measure(model: str, logits: str, precision: str) -> None:
    import torch

    from metanlp.backbones.causal import Causal
    from metanlp.data.types import Prompt
    from metanlp.fast_weights.lora import Lora
    from metanlp.learner import Learner

    torch.set_num_threads(1)
    backbone = Causal(model=model).open(model)
    prompts = [
        Prompt("", said(at, 34), turns=tuple(said(at + turn, 16) for turn in range(3)), system="You are chatting.")
        for at in range(8)
    ]
    batch = backbone.encode([prompts[at : at + 2] for at in range(0, 8, 2)])
    shape = f"{batch.inputs['input_ids'].shape[1]}, {batch.labels.shape[1]} of a reply"
    batch = with_all_logits(batch) if logits == "all" else batch
    fast = Lora(targets=["q_proj", "v_proj", "o_proj"]).attach(backbone.model, 0)
    learner = Learner(backbone.model, fast, precision=precision)
    before = memory("VmRSS")
    sides = {"pass": lambda: learner.losses_and_grads(learner.spread(4), batch)}
    sides["pass"]()  # the first one warms up
    (seconds,) = measure_time(sides, 0).values()
    print(f"| {logits} | {precision} | {shape} | {median(seconds):.1f} | {memory('VmHWM') - before:,.0f} MB |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hub name or folder of a causal model")
    parser.add_argument("row", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        measure(given.model, *given.row)
        return
    print("| logits | precision | pieces | CPU seconds | memory |\n|---|---|---|---|---|", flush=True)
    for row in ROWS:
        subprocess.run([sys.executable, __file__, given.model, *row], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
