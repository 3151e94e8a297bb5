"""Trains recipes in processes of their own, forked from one that has imported torch already.

Reads lines of JSON from its standard input, `{"recipe": .., "folder": .., "die_at": ..}`, and answers each with the
child's process id and, after its end, with how it ended. `die_at` n: the child kills itself at the n-th sync, rename or
removal of a save.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import accelerate  # noqa: F401
import torch
import transformers  # noqa: F401
from transformers import AutoModelForSeq2SeqLM, MBartForConditionalGeneration  # noqa: F401

import metanlp.checkpoint
import metanlp.training
from metanlp.config.load import build_recipe
from metanlp.errors import Stopped, UserError

STOPPED, REFUSED = 43, 42
torch.set_num_threads(1)


def dying_at(number: int) -> None:
    """From now on the `number`-th sync or rename is the last thing this process does."""
    calls = [0]

    def counting(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            if calls[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    metanlp.checkpoint._sync = counting(metanlp.checkpoint._sync)
    metanlp.checkpoint.shutil.rmtree = counting(metanlp.checkpoint.shutil.rmtree)
    Path.rename = counting(Path.rename)


def train(job: dict[str, Any]) -> int:
    if job.get("die_at"):
        dying_at(job["die_at"])
    try:
        metanlp.training.meta_train(build_recipe(job["recipe"]), job["folder"])
    except Stopped as stop:
        return STOPPED if stop.args == (signal.SIGTERM,) else 1
    except UserError as error:
        Path(job["folder"], "refused.txt").write_text(str(error))
        return REFUSED
    return 0


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = train(json.loads(line))
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
