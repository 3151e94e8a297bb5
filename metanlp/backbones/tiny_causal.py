"""A small causal model from scratch, with a sentencepiece tokenizer trained on the training tasks only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from metanlp.backbones._from_scratch import FromScratch
from metanlp.config.languages import Additions
from metanlp.errors import UserError
from metanlp.registry import BACKBONES

if TYPE_CHECKING:
    from metanlp.backbones._chat import Chat
    from metanlp.data.types import Prompt

TEMPLATE = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"  # speakers take turns


@BACKBONES.register("tiny_causal")
class TinyCausal(FromScratch):
    """A Llama (Touvron et al., 2023) of the sizes given here, one embedding for what it reads and writes.

    Its chat is turn after turn, each with an end mark. Unknown characters become bytes.
    """

    layers: int = Field(2, ge=1, description="layers")
    max_length: int = Field(256, ge=8, description="longest chat and reply, in pieces; the oldest turns go first")

    def prepare(self, folder: Path, prompts: Callable[[int | None], Iterable[Prompt]], seed: int) -> None:
        """Train the tokenizer, draw the weights, and save both as an ordinary `from_pretrained` folder.

        `prompts(most)` gives about so many of the training prompts, evenly spread; all for None.
        """
        from transformers import LlamaConfig, LlamaForCausalLM

        from metanlp.backbones._sentencepiece import EXAMPLES

        # of a dialogue the last turn: earlier ones are turns of other examples
        texts = (text for each in prompts(EXAMPLES) for text in ((each.turns or [each.input])[-1], each.output))
        tokenizer = self.tokenizer_of(texts)
        tokenizer.split_special_tokens = False  # the template writes its marks as text
        tokenizer.chat_template = TEMPLATE
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.width,
            intermediate_size=self.feed_forward,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            max_position_embeddings=self.max_length,
            initializer_range=self.width**-0.5,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
        )
        self.save_drawn(folder, LlamaForCausalLM, config, tokenizer, seed)

    def extend(self, additions: Additions) -> Chat | None:
        """UserError: there is nothing to add."""
        raise UserError(
            "task.new_languages and task.new_pieces are for pretrained models: `tiny_causal` learns its pieces from the "
            "training tasks, and spells all other characters in bytes"
        )

    def open(self, where: str) -> Chat:
        """The model in float32 and its tokenizer, from a folder that `prepare` or a run saved."""
        from metanlp.backbones.causal import Causal

        return Causal(model=where, max_length=self.max_length).open(where)
