"""The model of a translation run without metanlp: transformers, peft and torch, as one would write it by hand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from metanlp.config.recipe import Adapting
    from metanlp.data.types import Example
    from metanlp.run import Parts, Run


class ByHand:
    """Weights in `folder`, as `metanlp adapt` saves them, in a model of their own.

    Adapters stay beside the model, for peft to run, or are merged into it. Passes are rounded as the run's are.
    """

    def __init__(self, run: Run, parts: Parts, folder: Path, *, merged: bool = False) -> None:
        adapters = run.fast_weights.beside_a_base
        home = Path(run.base) if adapters else folder
        model: Any = AutoModelForSeq2SeqLM.from_pretrained(home, dtype=torch.float32)
        if adapters:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, folder, is_trainable=not merged)
        else:
            for name, weight in model.named_parameters():
                weight.requires_grad_(name in parts.learner.fast.parameters)
        self.model: Any = model.merge_and_unload() if merged else model
        self.trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.start = [weight.detach().clone() for weight in self.trained]
        self.tokenizer: Any = AutoTokenizer.from_pretrained(home)
        own = home / "target"
        self.target_tokenizer: Any = AutoTokenizer.from_pretrained(own) if own.is_dir() else self.tokenizer
        self.prefix, self.max_length = parts.backbone.prefix, parts.backbone.max_length
        self.rounded = run.recipe.precision == "bf16"

    def passes(self) -> AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16) if self.rounded else nullcontext()

    def reading(self, texts: Sequence[str]) -> dict[str, Tensor]:
        read = self.tokenizer(
            [self.prefix + text for text in texts],
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        )
        return {name: read[name] for name in ("input_ids", "attention_mask")}

    def batch(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """What the model's own loss is computed from."""
        written = self.target_tokenizer(
            text_target=[example.target for example in examples],
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
        )
        pieces, there = written["input_ids"], written["attention_mask"].bool()
        before = torch.full((len(examples), 1), self.model.config.decoder_start_token_id)
        return {
            **self.reading([example.source for example in examples]),
            "decoder_input_ids": torch.cat([before, pieces[:, :-1]], dim=1),
            "labels": pieces.masked_fill(~there, -100),
        }

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        with self.passes():
            loss: Tensor = self.model(**batch, use_cache=False).loss
        return loss

    def run_passes(self, batches: Sequence[dict[str, Tensor]]) -> None:
        """Forward and backward over each of them, and nothing else."""
        self.model.train()
        for batch in batches:
            self.loss(batch).backward()
            self.model.zero_grad()

    def fine_tune(self, examples: Sequence[Example], adapting: Adapting, steps: int) -> None:
        """From the start, with a fresh optimiser, in a new order for every pass through the examples."""
        with torch.no_grad():
            for weight, start in zip(self.trained, self.start, strict=True):
                weight.copy_(start)
        self.model.train()
        optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[adapting.optimizer](
            self.trained, lr=adapting.learning_rate
        )
        falling = adapting.decay == "linear"
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps if falling else 1.0)
        order: list[int] = []
        for _ in range(steps):
            if len(order) < min(adapting.batch, len(examples)):
                order += torch.randperm(len(examples)).tolist()
            chosen, order = order[: adapting.batch], order[adapting.batch :]
            self.loss(self.batch([examples[place] for place in chosen])).backward()
            if adapting.clip is not None:
                torch.nn.utils.clip_grad_norm_(self.trained, adapting.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()

    def translate(self, texts: Sequence[str], *, beams: int, new: int, rows: int, by_length: bool) -> list[str]:
        """`generate` on batches of `rows` texts as they come, or of like length."""
        self.model.eval()
        places = sorted(range(len(texts)), key=lambda place: len(texts[place])) if by_length else range(len(texts))
        found = [""] * len(texts)
        for at in range(0, len(texts), rows):
            chosen = places[at : at + rows]
            with self.passes():
                written = self.model.generate(
                    **self.reading([texts[place] for place in chosen]),
                    num_beams=beams,
                    do_sample=False,
                    max_new_tokens=new,
                )
            for place, text in zip(
                chosen, self.target_tokenizer.batch_decode(written, skip_special_tokens=True), strict=True
            ):
                found[place] = text
        return found
