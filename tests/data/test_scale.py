"""1,000 tasks x 1,000 examples: opened once, drawn from in little memory, as fast as 10 tasks."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from metanlp.config.yaml import write_yaml
from metanlp.data.collection import TaskCollection
from metanlp.data.sampler import EpisodeSampler, evaluation_episode
from metanlp.data.split import TaskSplit


def collection(folder: Path, tasks: int) -> Path:
    (folder / "train").mkdir(parents=True)
    body = "".join(f"the sentence with the number {i} in it\tsentensi inombolo {i}\n" for i in range(1000))
    for task in range(tasks):
        (folder / "train" / f"t{task:04}.tsv").write_text(f"source\ttarget\n{body}")
    facts = {"family": "translation", "licence": "CC0", "source": "made for a test", "parallel": False}
    write_yaml(folder / "collection.yaml", facts)
    return folder


BUILD = """
import resource, sys
import pyarrow.compute
from metanlp.data.collection import TaskCollection
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
TaskCollection.open(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection(tmp_path_factory.mktemp("large"), 1000)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection(tmp_path_factory.mktemp("small"), 10)


def test_building_streams(large: Path) -> None:
    told = subprocess.run([sys.executable, "-c", BUILD, str(large)], capture_output=True, text=True, check=True).stdout
    assert int(told) < 60_000  # KiB: a batch of rows and one task's hashes. The texts are 65 MB, as objects 300 MB


def drawn(path: Path) -> tuple[TaskSplit, int]:
    """The opened split, and the bytes that opening it and drawing 200 episodes took at the highest."""
    allocated = pa.total_allocated_bytes()
    tracemalloc.start()
    split = TaskCollection.open(path).split("train")
    sampler = EpisodeSampler(split, seed=0, support=20, query=4)
    for index in range(200):
        assert len(sampler[index].support) == 20
    evaluation_episode(split, split.names[-1], 64, seed=0, queries=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return split, peak + pa.total_allocated_bytes() - allocated


def cost(split: TaskSplit) -> float:
    """Seconds for 100 episodes, the best of 5 times."""
    sampler = EpisodeSampler(split, seed=0, support=20, query=4)
    times = []
    for start in range(0, 500, 100):
        began = time.perf_counter()
        for index in range(start, start + 100):
            sampler[index]
        times.append(time.perf_counter() - began)
    return min(times)


def test_drawing_costs_the_same_from_many_tasks(large: Path, small: Path) -> None:
    few, few_bytes = drawn(small)
    many, many_bytes = drawn(large)
    assert int(many.sizes.sum()) == 1_000_000
    assert many_bytes - few_bytes < 1_500_000  # names and counts, 1.5 kB a task at most; never the examples
    assert cost(many) < 3 * cost(few)
