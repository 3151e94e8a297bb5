"""That memory which comes and goes stays with the process, told by the pages that the system has to clear."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PASSES = """
import resource, sys
import torch
from metanlp.allocator import keep_pages
if sys.argv[1] == "kept":
    keep_pages()
def run():
    grads = [torch.ones(size) for size in (2**24, *[2**20] * 40)]
run()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    run()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have ways of their own")
def test_pages_are_cleared_once() -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", PASSES, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults("kept") * 10 < faults("as it comes")
