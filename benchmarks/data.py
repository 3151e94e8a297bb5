"""Episodes a second and memory of a task collection with 10, 1,000 and 100,000 tasks, beside lists in memory.

    python benchmarks/data.py                # 24 examples a task; two minutes
    python benchmarks/data.py --tasks 10 1000 10000 --examples 1000 --json data.json

Every row of the table is measured in processes of its own, in seconds of the processor: other processes' time is no cost of
an episode. "lists" is the floor: all examples as Python objects, drawn with `random`. MB is what opening and drawing added
to the anonymous memory, without mapped files, which the system can drop.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import keep, memory

SUPPORT, QUERY, EPISODES = 20, 4, 2_000
ANONYMOUS = "RssAnon"


def make(folder: Path, tasks: int, examples: int) -> None:
    """A collection of sentences of some 40 characters a side."""
    from metanlp.config.yaml import write_yaml

    (folder / "train").mkdir(parents=True)
    body = "".join(
        f"the sentence with the number {i} in it\tder Satz mit der Nummer {i} darin\n" for i in range(examples)
    )
    for task in range(tasks):
        (folder / "train" / f"task{task:06}.tsv").write_text(f"source\ttarget\n{body}", encoding="utf-8")
    facts = {"family": "translation", "licence": "CC0", "source": "made by a benchmark", "parallel": False}
    write_yaml(folder / "collection.yaml", facts)


def measure(kind: str, folder: Path) -> dict[str, Any]:
    """What one process sees: seconds to build and to open, MB, episodes a second."""
    import pyarrow.compute  # noqa: F401  (imported before memory is read)

    from metanlp.data.collection import TaskCollection
    from metanlp.data.readers import read_file
    from metanlp.data.sampler import EpisodeSampler

    before, start = memory(ANONYMOUS), time.process_time()
    if kind == "lists":
        tasks = [read_file(path)[0] for path in sorted((folder / "train").iterdir())]
        draws = random.Random(0)

        def episode(index: int) -> object:
            return draws.sample(draws.choice(tasks), SUPPORT + QUERY)
    else:
        sampler = EpisodeSampler(TaskCollection.open(folder).split("train"), 0, SUPPORT, QUERY)
        episode = sampler.__getitem__
    opened = time.process_time() - start
    start = time.process_time()
    for index in range(EPISODES):
        episode(index)
    return {"seconds": opened, "MB": memory(ANONYMOUS) - before, "rate": EPISODES / (time.process_time() - start)}


def in_own_process(kind: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", kind, str(folder)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def run(sizes: list[int], examples: int) -> list[dict[str, Any]]:
    rows = []
    for tasks in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "collection"
            make(path, tasks, examples)
            build = in_own_process("collection", path)
            again = in_own_process("collection", path)
            lists = in_own_process("lists", path)
        rows.append(
            {
                "tasks": tasks,
                "examples": tasks * examples,
                "build_seconds": build["seconds"],
                "open_seconds": again["seconds"],
                "MB": again["MB"],
                "episodes_a_second": again["rate"],
                "lists_seconds": lists["seconds"],
                "lists_MB": lists["MB"],
                "lists_episodes_a_second": lists["rate"],
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| tasks | examples | built, s | opened, s | MB | episodes/s | lists: read, s | MB | episodes/s |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = (
            f"{row['tasks']:,}",
            f"{row['examples']:,}",
            f"{row['build_seconds']:.1f}",
            f"{row['open_seconds']:.2f}",
            f"{row['MB']:.0f}",
            f"{row['episodes_a_second']:,.0f}",
            f"{row['lists_seconds']:.1f}",
            f"{row['lists_MB']:.0f}",
            f"{row['lists_episodes_a_second']:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", type=int, nargs="+", default=[10, 1_000, 100_000], help="sizes to measure")
    parser.add_argument("--examples", type=int, default=24, help="examples of a task")
    parser.add_argument("--json", type=Path, help="write the numbers there as well")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], Path(options.measure[1]))))
        return
    rows = run(options.tasks, options.examples)
    print(table(rows))
    if options.json:
        keep(options.json, {"support": SUPPORT, "query": QUERY, "rows": rows})


if __name__ == "__main__":
    main()
