"""`metanlp doctor`: what this machine has and what is missing, and what a tokenizer does to a text."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch

from metanlp.backbones._new_pieces import learn_pieces, why_none
from metanlp.coverage import crumbs, described, verdict
from metanlp.data.texts import read_texts
from metanlp.registry import BACKBONES
from metanlp.run import BACKBONE
from metanlp.tokens import coverage_by

NEEDED = ("torch", "transformers", "datasets", "accelerate", "peft", "sentencepiece", "sacrebleu")
EXTRAS = {  # a package -> what it is for, and the extra of metanlp that brings it
    "matplotlib": ("plots in reports", "demo"),
    "unicode_rbnf": ("the demo's data", "demo"),
    "tensorboard": ("curves while training", "demo"),
    "polib": ("gettext catalogues", "po"),
    "gguf": ("data_scripts/backbones.py", "backbones"),
}
SIZE, SECONDS = 1024, 0.3
NEW_PIECES = 500  # that are tried
LINES_READ = 10_000  # of a text, evenly over it


def examination() -> str:
    """A few lines for a person, and for a bug report."""
    lines = [f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores()} cores"]
    lines += [f"  {name} {_version(name)}" for name in NEEDED]
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            lines.append(f"GPU {number}: {facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    else:
        lines.append("GPU: none that torch can use; the `tiny` recipes train on the CPU")
    found = {"fp32": _gigaflops(torch.float32), "bf16": _gigaflops(torch.bfloat16)}
    threads = torch.get_num_threads()
    lines += [f"matrix products in {name}: {speed:,.0f} GFLOP/s, threads: {threads}" for name, speed in found.items()]
    lines += bf16_advice(found)
    missing = {name: EXTRAS[name] for name in EXTRAS if find_spec(name) is None}
    if missing:
        extras = ",".join(dict.fromkeys(extra for _, extra in missing.values()))
        lines.append(f"missing extras (pip install 'metanlp[{extras}]'):")
        lines += [f"  {name}: {use} (extra {extra})" for name, (use, extra) in missing.items()]
    else:
        lines.append("all extras are there")
    return "\n".join(lines)


def bf16_advice(gigaflops: Mapping[str, float]) -> list[str]:
    """What to do, by GFLOP/s in each precision, where bf16 is hardly faster: some processors take twice as long for it."""
    if gigaflops["bf16"] > 1.2 * gigaflops["fp32"]:
        return []
    return ["  bf16 saves no time here: give recipes with `precision: bf16` the change precision=fp32"]


def text_examination(text: Path, backbone: str, like: Path | None = None) -> str:
    """What the tokenizer of `backbone`, a Hub name or a folder, does to a text, beside one in a related language."""
    own = Path(backbone) / BACKBONE  # of a run
    where = str(own) if own.is_dir() else backbone
    tokenizer = BACKBONES.get("seq2seq")(model=where).tokenizer(where)
    texts = _some(read_texts(text))
    found = coverage_by(tokenizer, texts)
    other = None if like is None else coverage_by(tokenizer, _some(read_texts(like)))
    reason, after = why_none(tokenizer), None
    if reason is None and crumbs(found, other):
        after = learn_pieces(tokenizer, texts, NEW_PIECES).pieces / max(1, found.words)
    head = f"{text} through the tokenizer of {backbone}: {found.texts:,} lines, {found.words:,} words"
    facts = [f"  {line}" for line in described(found, other, str(like))]
    return "\n".join([head, *facts, verdict(found, other, reason, NEW_PIECES, after)])


def _some(texts: list[str]) -> list[str]:
    return texts[:: -(-len(texts) // LINES_READ)]


def cores() -> int:
    """How many this process may use: a container or a batch system may give it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is missing: pip install metanlp"


def _gigaflops(dtype: torch.dtype) -> float:
    """Measured on a square product, on the device that training would use."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.randn(SIZE, SIZE, device=device).to(dtype)
    (a @ a).sum().item()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        (a @ a)[0, 0].item()
        count += 1
    return count * 2 * SIZE**3 / (time.perf_counter() - began) / 1e9
