"""What the inner loop costs, beside plain forward and backward passes over the same batches (the floor).

    python benchmarks/inner_loop.py               # every case; about ten minutes on one core
    python benchmarks/inner_loop.py --quick       # few repetitions, for a look
    python benchmarks/inner_loop.py full-60M-1x16 lora-8x1x16 --json inner_loop.json

An episode is 5 inner steps and a query. Each side runs it for each of the tasks, the sides in turn within every block, and
the table shows the median over blocks of CPU time (one thread, other processes' time left out) as a ratio to the floor's
in the same block. Models are T5s with random weights. The floors:

- full weights: a plain model, plain loss, `backward()`, its gradients set to None. The column `zeroed` is the same with
  gradients that stay and are set to zero;
- LoRA: a model of `peft`, r 8 on q and v, one task after another.

The column `plain + SGD` is the floor with torch's own SGD step behind every pass: what moving the weights costs anyone.

MB is what a step adds at its peak to the memory of the process before it, measured in a process of its own; buffers that
live as long as the learner are there before it and stand in a column of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from metanlp.batch import Batch, EncodedEpisodes
    from metanlp.learner import Learner

INNER_STEPS = 5
SIZES = {
    "2M": {"vocab_size": 8000, "d_model": 128, "d_kv": 32, "d_ff": 512, "num_layers": 2, "num_heads": 4},
    "60M": {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
}


class Case(NamedTuple):
    """`tasks` episodes whose batches are `rows` sentences of `length` pieces."""

    kind: str
    size: str
    tasks: int
    rows: int
    length: int
    blocks: int


CASES = {
    "full-2M-8x32": Case("full", "2M", 4, 8, 32, 25),
    "full-2M-2x16": Case("full", "2M", 4, 2, 16, 41),
    "full-60M-1x16": Case("full", "60M", 4, 1, 16, 11),
    "lora-8x1x16": Case("lora", "60M", 8, 1, 16, 15),
    "lora-4x1x16": Case("lora", "60M", 4, 1, 16, 21),
    "lora-8x2x32": Case("lora", "60M", 8, 2, 32, 9),
    "lora-4x8x32": Case("lora", "60M", 4, 8, 32, 7),
}
OPTIONS = {
    "sgd": {"inner_optimizer": "sgd", "inner_clip": None},
    "sgd, clip": {"inner_optimizer": "sgd", "inner_clip": 1.0},
    "adam": {"inner_optimizer": "adam", "inner_clip": None},
    "adam, clip": {"inner_optimizer": "adam", "inner_clip": 1.0},
}
ZEROED, STEPPED = "zeroed", "plain + SGD"
Side = Callable[[int], None]  # runs one unit of a block


def make_model(size: str) -> nn.Module:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    return T5ForConditionalGeneration(T5Config(**SIZES[size], dropout_rate=0.0, decoder_start_token_id=0)).train()


def make_batches(case: Case, vocabulary: int) -> list[list[Batch]]:
    """Random pieces: for every task the batches of its inner steps and, last, the query."""
    import torch

    from metanlp.batch import Batch

    generator = torch.Generator().manual_seed(1)

    def draw() -> Any:
        return torch.randint(3, vocabulary, (case.rows, case.length), generator=generator)

    def batch(seed: int) -> Batch:
        ids, decoder_ids, labels = draw(), draw(), draw()
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "decoder_input_ids": decoder_ids}
        return Batch(inputs, labels, 1, seed)

    return [[batch(step) for step in range(INNER_STEPS + 1)] for _ in range(case.tasks)]


def stacked(tasks: Sequence[Sequence[Batch]]) -> EncodedEpisodes:
    """The episodes of all tasks, side by side."""
    import torch

    from metanlp.batch import Batch, EncodedEpisodes

    def join(batches: Sequence[Batch]) -> Batch:
        inputs = {name: torch.cat([batch.inputs[name] for batch in batches]) for name in batches[0].inputs}
        return Batch(inputs, torch.cat([batch.labels for batch in batches]), len(batches), batches[0].seed)

    *support, query = [join(batches) for batches in zip(*tasks, strict=True)]
    return EncodedEpisodes(support, query)


def make_learner(case: Case) -> Learner:
    from metanlp.fast_weights.full import Full
    from metanlp.fast_weights.lora import Lora
    from metanlp.learner import Learner

    model = make_model(case.size)
    return Learner(model, (Full() if case.kind == "full" else Lora(r=8)).attach(model, 0))


def plain_side(model: nn.Module, units: list[list[Batch]], kind: str) -> Side:
    """Forward and backward over every batch of a unit, gradients cleared after each, and nothing else or an SGD step."""
    import torch
    from torch.nn import functional as F

    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=1e-3)

    def side(unit: int) -> None:
        for batch in units[unit]:
            logits = model(**batch.inputs, use_cache=False).logits
            F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten()).backward()
            if kind == STEPPED:
                optimizer.step()
            if kind == ZEROED:
                torch._foreach_zero_([weight.grad for weight in weights])
            else:
                for weight in weights:
                    weight.grad = None

    return side


def our_side(learner: Learner, episodes: list[EncodedEpisodes], options: dict[str, Any]) -> Side:
    """The meta-gradient of a unit, added to the sum that an outer step takes."""
    from metanlp.algorithms.fomaml import FOMAML
    from metanlp.outer import Total

    algorithm, total = FOMAML(inner_steps=INNER_STEPS, **options), Total(learner)

    def side(unit: int) -> None:
        if unit == 0:
            total.clear()
        total.add(algorithm.meta_gradient(learner, episodes[unit]), episodes[unit].tasks)

    return side


def peft_model(size: str) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM")
    return get_peft_model(make_model(size), config)


def sides_of(case: Case, names: Sequence[str]) -> tuple[dict[str, Side], int, dict[str, int]]:
    """The sides by name, how many units a block has, and each side's number of parameters."""
    tasks = make_batches(case, SIZES[case.size]["vocab_size"])
    sides: dict[str, Side] = {}
    counts: dict[str, int] = {}
    full = case.kind == "full"
    learner = make_learner(case) if any(name in OPTIONS for name in names) else None
    units = [stacked([task]) for task in tasks] if full else [stacked(tasks)]
    for name in names:
        if name in OPTIONS:
            assert learner is not None
            model, sides[name] = learner.model, our_side(learner, units, OPTIONS[name])
        else:
            model = make_model(case.size) if full else peft_model(case.size)
            batches = tasks if full else [[batch for task in tasks for batch in task]]
            sides[name] = plain_side(model, batches, name)
        counts[name] = sum(weight.numel() for weight in model.parameters())
    return sides, len(units), counts


def floor_of(case: Case) -> str:
    return "plain" if case.kind == "full" else "peft"


def sides_shown(case: Case) -> list[str]:
    return [*([ZEROED] if case.kind == "full" else []), STEPPED, *OPTIONS]


def measure_time(case: Case, blocks: int) -> dict[str, list[float]]:
    """CPU seconds of each side in each block."""
    names = [floor_of(case), *sides_shown(case)]
    sides, units, _ = sides_of(case, names)
    for side in sides.values():
        side(0)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for block in range(blocks):
        sums = dict.fromkeys(names, 0.0)
        for unit in range(units):
            first = (block * units + unit) % len(names)  # no side always follows the same one
            for name in [*names[first:], *names[:first]]:
                start = time.process_time()
                sides[name](unit)
                sums[name] += time.process_time() - start
        for name in names:
            spent[name].append(sums[name])
    return spent


def measure_memory(case: Case, name: str) -> dict[str, float]:
    """MB that a block adds at its peak to what is there before it, MB of the learner's buffers, and parameters."""
    import gc

    sides, units, counts = sides_of(case, [name])
    for unit in (0, 1, 2):
        sides[name](unit % units)
    gc.collect()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    for unit in range(units):
        sides[name](unit)
    return {"peak_MB": memory("VmHWM") - before, "before_MB": before, "parameters": counts[name]}


def memory(field: str) -> float:
    """MB of this process, as /proc knows it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("this benchmark reads /proc/self/status and needs Linux")


def in_a_process_of_its_own(case: str, side: str) -> dict[str, float]:
    """`measure_memory`, where nothing else has been allocated before."""
    command = [sys.executable, __file__, "--memory", case, side]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def row(name: str, case: Case, blocks: int) -> dict[str, Any]:
    """Each side's time as a ratio to the floor's in the same block, and what its memory adds to the floor's."""
    spent, floor = measure_time(case, blocks), floor_of(case)
    ratios = {
        side: [own / base for own, base in zip(spent[side], spent[floor], strict=True)] for side in sides_shown(case)
    }
    return {
        "case": name,
        "floor": floor,
        "ratios": {side: median(values) for side, values in ratios.items()},
        "quartiles": {side: quantiles(values, n=4)[::2] for side, values in ratios.items()},
        "memory": {side: in_a_process_of_its_own(name, side) for side in (floor, "sgd")},
    }


def line(found: dict[str, Any]) -> str:
    cells = []
    for side in (ZEROED, STEPPED, *OPTIONS):
        low, high = found["quartiles"].get(side, (0, 0))
        cells.append(f"{found['ratios'][side]:.2f} [{low:.2f}, {high:.2f}]" if side in found["ratios"] else "")
    floor, ours = (found["memory"][side] for side in (found["floor"], "sgd"))
    buffers = ours["before_MB"] - floor["before_MB"]
    cells += [f"{floor['peak_MB']:.0f}", f"{ours['peak_MB']:.0f}", f"{buffers:.0f}"]
    return f"| {found['case']} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a third of the repetitions")
    parser.add_argument("--json", type=Path, help="a file for the numbers")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    for name in given.cases:
        if name not in CASES:
            parser.error(f"there is no case {name}; there are {', '.join(CASES)}")
    warnings.simplefilter("ignore")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    if given.memory:
        print(json.dumps(measure_memory(CASES[given.memory[0]], given.memory[1])))
        return
    print(f"{platform.machine()}, torch {torch.__version__}, one thread; ratios to the floor, [quartiles]")
    memory_heads = ("floor's step, MB", "ours, MB", "kept besides, MB")
    heads = ["tasks x sentences x pieces", ZEROED, STEPPED, *OPTIONS, *memory_heads]
    print(f"| {' | '.join(heads)} |")
    print("|" + "---|" * len(heads))
    rows = []
    for name in given.cases or CASES:
        case = CASES[name]
        rows.append(row(name, case, max(3, case.blocks // 3) if given.quick else case.blocks))
        print(line(rows[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
