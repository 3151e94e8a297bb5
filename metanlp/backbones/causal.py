"""Any Hugging Face causal language model by Hub name or folder: SmolLM2, Qwen, Llama, Gemma, Mistral, GPT-NeoX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from metanlp.backbones._pretrained import from_pretrained
from metanlp.config.languages import Additions
from metanlp.config.options import Options
from metanlp.errors import UserError
from metanlp.registry import BACKBONES

if TYPE_CHECKING:
    from metanlp.backbones._chat import Chat


@BACKBONES.register("causal")
class Causal(Options):
    """A pretrained causal language model with its own tokenizer and chat template.

    It learns the reply and the mark that ends it, not what is said to it. A base model without a chat template gets a plain
    form: a line for every turn, `user: ...` and `assistant: ...`.
    """

    made: ClassVar[bool] = False

    model: str = Field(description="name on the Hugging Face Hub, or a folder")
    revision: str | None = Field(None, description="branch, tag or commit on the Hub; empty: its main branch")
    made_by: str = Field("", description="the command that makes the model's folder, told where it is missing")
    max_length: int = Field(512, ge=8, description="longest chat and reply, in pieces; the oldest turns go first")
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        "auto", description="how attention is computed; on a CPU in bf16 eager is faster than auto, which is sdpa"
    )

    def extend(self, additions: Additions) -> Chat | None:
        """UserError: nothing can be added."""
        raise UserError(
            "task.new_languages and task.new_pieces are for encoder-decoders; a causal model reads languages as words of the "
            "prompt, and most spell what they do not know in bytes"
        )

    def base(self, folder: Path) -> str:
        """Where the backbone's own weights are."""
        return self.model

    def open(self, where: str) -> Chat:
        """The model in float32 and its tokenizer by Hub name or folder; UserError where there is none."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from metanlp.backbones._chat import Chat

        tokenizer = from_pretrained(AutoTokenizer, where, self.revision, self.made_by)
        way = {} if self.attention == "auto" else {"attn_implementation": self.attention}
        model = from_pretrained(AutoModelForCausalLM, where, self.revision, self.made_by, dtype="float32", **way)
        return Chat(model, tokenizer, self.max_length)
