"""That memory which comes and goes stays with the process, told by the pages that the system has to clear."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from makers import plain_recipe

from metanlp.adaptation import adapt
from metanlp.config.load import build_recipe
from metanlp.data.types import Example
from metanlp.training import meta_train

PASSES = """
import resource, sys
import torch
from metanlp.allocator import keep_pages
if sys.argv[1] == "kept":
    keep_pages()
def run():
    grads = [torch.ones(size) for size in (2**24, *[2**20] * 40)]
for _ in range(3):  # until the heap is as large as it gets
    run()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    run()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    (platform.libc_ver()[0], platform.machine()) != ("glibc", "x86_64"), reason="torch may have an allocator of its own"
)
def test_pages_are_cleared_once() -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", PASSES, how]
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRE"))
        }
        return int(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout)

    assert faults("kept") * 10 < faults("as it comes")


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_training_and_adapting_keep_them_for_full_weights(
    kind: str, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("metanlp.learner.keep_pages", lambda: asked.append("to keep"))
    run = meta_train(build_recipe(plain_recipe(collection) | {"fast_weights": kind}), tmp_path / "run")
    assert bool(asked) == (kind == "full")
    asked.clear()
    adapt(run, [Example("abc", "bcd"), Example("bad", "cbe")], name="new")
    assert bool(asked) == (kind == "full")
