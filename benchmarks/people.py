"""What it costs to serve many people with one model: adapting them and answering them, side by side and one by one.

    python benchmarks/people.py RUN                        # 32 people; with SmolLM2-135M about half an hour on two cores
    python benchmarks/people.py RUN --people 4 --new 8     # for a look
    python benchmarks/people.py RUN --batch 1               # where the memory is too small for 32 times the recipe's batch
    python benchmarks/people.py RUN --json people.json

RUN is a trained run for dialogues whose collection has people to test on. Each person learns from their first lines, and
each is asked once. Both sides do the same work on the same rows: `side by side` is one stack or one batch, `one by one` one
person after another (on a CPU that is how metanlp adapts where a person's batch is work enough). MB is what a side adds at its
peak to the memory of the process before it, measured in a process of its own. One person is also adapted from 5 whole
dialogues, as tuned or else as the recipe says, to be held against 10 seconds.

The ceiling is what this machine reaches in products of two square matrices of 2,048, in fp32 and in bf16. The share of it
counts two operations a weight and piece forward, and two more backward, since the frozen weights have no gradients; the
embeddings, which are looked up, and the logits of the replies are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from machine import ceilings, keep, memory

if TYPE_CHECKING:
    from metanlp.config.recipe import Adapting
    from metanlp.data.types import Episode
    from metanlp.run import Parts, Run

LINES, DIALOGUES, TARGET_SECONDS = 8, 5, 10.0
SIDES = ("side by side", "one by one")
WORK = ("adapt", "answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a trained run for dialogues")
    parser.add_argument("--people", type=int, default=32, help="how many; default 32")
    parser.add_argument("--steps", type=int, default=5, help="steps of adapting each person; default 5")
    parser.add_argument("--batch", type=int, default=None, help="lines of a person in a step; default: the recipe's")
    parser.add_argument("--new", type=int, default=32, help="pieces of an answer; default 32")
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own choice")
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    parser.add_argument("--one", nargs=2, metavar=("WORK", "SIDE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked, *asked.one)))
        return
    found = {f"{work}, {side}": in_its_own_process(asked, work, side) for work in WORK for side in SIDES} | {
        "one person": in_its_own_process(asked, "adapt", "one person")
    }
    told = {"ceiling": in_its_own_process(asked, "ceiling", ""), "found": found}
    print(table(asked, told))
    if asked.json:
        keep(asked.json, told)


def in_its_own_process(asked: argparse.Namespace, work: str, side: str) -> dict[str, Any]:
    numbers = {name: getattr(asked, name) for name in ("people", "steps", "batch", "new", "threads")}
    flags = [each for name, value in numbers.items() if value is not None for each in (f"--{name}", str(value))]
    command = [sys.executable, __file__, asked.run, *flags, "--one", work, side]
    print(f"{work} {side}".strip(), file=sys.stderr)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(asked: argparse.Namespace, work: str, side: str) -> dict[str, Any]:
    """Seconds, pieces and floating-point operations of one side, and the MB it added."""
    import torch

    if asked.threads:
        torch.set_num_threads(asked.threads)
    if work == "ceiling":
        return ceilings()
    from transformers.utils import logging

    from metanlp.run import Run
    from metanlp.tuned import adapting_for

    logging.set_verbosity_error()  # transformers warns of an end mark that is none
    logging.disable_progress_bar()
    run = Run.open(asked.run)
    parts = run.trained()
    weights = parts.backbone.model.num_parameters(exclude_embeddings=True)
    if side == "one person":
        episodes, adapting = [one_person(run, parts)], adapting_for(run, DIALOGUES)
    else:
        episodes, adapting = people(parts, asked.people), run.recipe.adapting_of(run.stage)
        adapting = adapting.model_copy(update={"steps": asked.steps, "batch": asked.batch or adapting.batch})
    before = most_memory()
    begun = time.perf_counter()
    if work == "adapt":
        pieces = adapt(run, parts, episodes, adapting, together=side == SIDES[0])
        operations = 4 * weights * pieces
    else:
        pieces = answer(run, parts, episodes, asked.new, together=side == SIDES[0])
        operations = 2 * weights * pieces
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "pieces": pieces,
        "per_second": pieces / seconds,
        "MB": most_memory() - before,
        "gflops": operations / seconds / 1e9,
        "precision": run.recipe.precision,
        "examples": sum(len(episode.support) for episode in episodes),
        "steps": adapting.steps,
    }


def people(parts: Parts, count: int) -> list[Episode]:
    """That many people of the test tasks, over again where they are fewer; not all have the same number of lines."""
    from metanlp.data.types import Episode

    split = parts.collection.split("test")
    tasks = list(split)
    chosen = [tasks[place % len(tasks)] for place in range(count)]
    return [
        Episode(task.name, task.info, list(task.examples[: LINES - place % 4]), [task.examples[LINES]], index=0)
        for place, task in enumerate(chosen)
    ]


def one_person(run: Run, parts: Parts) -> Episode:
    """The first test task with its last dialogues but one."""
    from metanlp.data.sampler import evaluation_episode

    split = parts.collection.split("test")
    return evaluation_episode(split, split.names[0], DIALOGUES, run.recipe.seed, max_shots=DIALOGUES, queries=1)


def adapt(run: Run, parts: Parts, episodes: list[Episode], adapting: Adapting, together: bool) -> int:
    """Adapts them, in a stack also where metanlp would not; returns how many pieces went through the model, without padding."""
    from metanlp.encoding import prompts_of
    from metanlp.stacks import adapt_stack

    with patch("metanlp.stacks.work_enough", lambda *_: False):
        for stack in [episodes] if together else [[episode] for episode in episodes]:
            adapt_stack(run, parts, stack, adapting, adapting.steps, seed=run.recipe.seed)
    pieces = 0
    for episode in episodes:
        learnt = [parts.backbone.learnt(prompt) for prompt in prompts_of(run.recipe.task, episode, episode.support)]
        read = [len(each.before) + len(each.reply) for each in learnt]
        pieces += round(adapting.steps * min(len(read), adapting.batch) * sum(read) / len(read))
    return pieces


def answer(run: Run, parts: Parts, episodes: list[Episode], new: int, together: bool) -> int:
    """Answers a message for each, with weights of their own; returns how many pieces were written."""
    import torch

    from metanlp.encoding import prompts_of
    from metanlp.weights import Weights

    generator = torch.Generator().manual_seed(0)
    weights: Weights = {
        name: weight + 1e-3 * torch.randn(weight.shape, generator=generator).to(weight.device)
        for name, weight in parts.learner.spread(len(episodes)).items()
    }
    prompts = [prompts_of(run.recipe.task, episode, episode.query) for episode in episodes]
    parts.backbone.ends = [-1]  # everybody writes as much
    places = [range(len(episodes))] if together else [range(at, at + 1) for at in range(len(episodes))]
    for some in places:
        with parts.learner.using({name: weight[some.start : some.stop] for name, weight in weights.items()}):
            parts.backbone.generate([prompts[at] for at in some], max_new_tokens=new)
    return new * len(episodes)


def most_memory() -> float:
    """The most that this process has had, in MB: of a GPU where there is one."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else memory("VmHWM")


def table(asked: argparse.Namespace, told: dict[str, Any]) -> str:
    found, most = told["found"], told["ceiling"]
    lines = [f"{'':<24}{'seconds':>9}{'pieces/s':>10}{'MB':>7}{'GFLOP/s':>9}{'of the ceiling':>16}"]
    for name, row in found.items():
        share = row["gflops"] / most[row["precision"]]
        lines.append(
            f"{name:<24}{row['seconds']:>9.1f}{row['per_second']:>10.0f}{row['MB']:>7.0f}{row['gflops']:>9.0f}{share:>16.0%}"
        )
    one = found["one person"]
    for work in WORK:
        ratio = found[f"{work}, {SIDES[1]}"]["seconds"] / found[f"{work}, {SIDES[0]}"]["seconds"]
        lines.append(f"{work}: {asked.people} people side by side are {ratio:.2f} times as fast as one by one")
    lines.append(
        f"one person: {one['examples']} lines of {DIALOGUES} dialogues in {one['steps']} steps took {one['seconds']:.1f} s; "
        f"wanted: {TARGET_SECONDS:.0f} s"
    )
    lines.append(f"the ceiling: {most['fp32']:.0f} GFLOP/s in fp32, {most['bf16']:.0f} in bf16")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
