"""A chat model out of a GGUF file, in which models of 4-bit weights travel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metanlp.errors import UserError


def require_gguf() -> None:
    """UserError where such files cannot be read: to be asked before one is fetched."""
    from importlib.util import find_spec

    if find_spec("gguf") is None:
        raise UserError("a model in a GGUF file needs the package gguf; run: pip install 'metanlp[chat]'")


def write_from_gguf(gguf: Path, folder: Path) -> None:
    """A `from_pretrained` folder, in bf16, of the Llama in `gguf` and its tokenizer with the chat template."""
    require_gguf()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config: Any = type(read.config).from_dict(read.config.to_dict())
    model: Any = LlamaForCausalLM(config)  # one that came out of a GGUF is not saved
    model.load_state_dict(read.state_dict())
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
