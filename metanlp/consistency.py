"""Whether replies go with what is known of a person: the C score of PAML (Madotto et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from metanlp.errors import UserError
from metanlp.metrics import CONSISTENCY, Score

VALUES = {"entail": 1, "neutral": 0, "contradict": -1}
PAIRS_AT_ONCE = 64


class Entailment:
    """A model that says of two texts whether the first entails the second, contradicts it, or neither."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        self.name, self.model, self.tokenizer = name, model.eval(), tokenizer
        labels = {number: str(label).lower() for number, label in model.config.id2label.items()}
        found = {number: value for number, label in labels.items() for word, value in VALUES.items() if word in label}
        if len(labels) != len(VALUES) or sorted(found.values()) != sorted(VALUES.values()):
            raise UserError(
                f"evaluation.nli {name!r} has the labels {', '.join(labels.values())}; it should have three, with entail, "
                "neutral and contradict in their names"
            )
        self.values = torch.tensor([found[number] for number in sorted(found)])

    @classmethod
    def load(cls, name: str) -> Entailment:
        """By Hub name or folder, on a GPU where there is one; UserError where there is none of that name."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        try:
            model = AutoModelForSequenceClassification.from_pretrained(name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise UserError(f"evaluation.nli {name!r} is neither a folder nor a reachable Hub model: {error}") from None
        return cls(name, model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)

    def consistency(self, replies: Sequence[str], sentences: Sequence[str]) -> Score:
        """The mean over replies of what the person's sentences add up to: 1 for one it entails, -1 for one it contradicts."""
        pairs = [(reply, sentence) for reply in replies for sentence in sentences]
        values = [
            value for at in range(0, len(pairs), PAIRS_AT_ONCE) for value in self._of(pairs[at : at + PAIRS_AT_ONCE])
        ]
        signature = f"{CONSISTENCY}|nli:{self.name}|of:reply, sentence|sum:sentences|mean:replies|version:1"
        return Score(CONSISTENCY, sum(values) / len(replies), signature)

    @torch.no_grad()
    def _of(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        texts: Any = [list(side) for side in zip(*pairs, strict=True)]
        inputs = self.tokenizer(*texts, padding=True, truncation=True, return_tensors="pt").to(self.model.device)
        return self.values[self.model(**inputs).logits.argmax(1).cpu()].tolist()
