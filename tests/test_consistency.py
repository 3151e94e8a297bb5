"""The C score, with an entailment model of the real class and random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from entailment_model import LABELS, save_model

from metanlp.consistency import Entailment
from metanlp.errors import UserError

REPLIES = ["i like cats", "no", "yes yes .", "i hate dogs . i like dogs", "cats"]
SENTENCES = ["i hate cats .", "like", "dogs dogs no"]


def test_it_is_the_sum_over_sentences_and_the_mean_over_replies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against plain transformers, pair by pair and without padding."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = save_model(tmp_path / "nli", LABELS)
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    values, seen = {"CONTRADICTION": -1, "entailment": 1, "Neutral": 0}, []
    for reply in REPLIES:
        for sentence in SENTENCES:
            with torch.no_grad():
                logits = model(**tokenizer(reply, sentence, return_tensors="pt")).logits[0]
            seen.append(values[model.config.id2label[int(logits.argmax())]])
    assert len(set(seen)) > 1
    monkeypatch.setattr("metanlp.consistency.PAIRS_AT_ONCE", 4)
    found = Entailment.load(str(folder)).consistency(REPLIES, SENTENCES)
    assert found.value == pytest.approx(sum(seen) / len(REPLIES))
    assert found.signature.startswith(f"C|nli:{folder}|")


@pytest.mark.parametrize(
    "labels",
    [{0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, {0: "entailment", 1: "not_entailment"}, {**LABELS, 3: "other"}],
)
def test_a_model_without_the_three_labels_is_refused(tmp_path: Path, labels: dict[int, str]) -> None:
    folder = save_model(tmp_path / "nli", labels)
    with pytest.raises(UserError, match=f"has the labels {labels[0].lower()}, .* with entail, neutral and contradict"):
        Entailment.load(str(folder))


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is neither a folder nor a reachable Hub model"):
        Entailment.load(str(tmp_path / "none"))
