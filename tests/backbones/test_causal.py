"""Causal models: rows of a batch equal each alone; Hugging Face's own calls as oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from backbones.causal_models import CLASSES
from causal_prompts import ROWS

from metanlp.batch import IGNORED
from metanlp.errors import UserError
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner
from metanlp.registry import BACKBONES

everyone = pytest.mark.parametrize("name", CLASSES)


@everyone
def test_losses_are_hugging_faces_own_of_every_row_alone(name: str, open_causal: Any) -> None:
    """Hugging Face shifts labels itself, and computes all logits of a row without padding."""
    backbone = open_causal(name)
    fast = Lora(r=2).attach(backbone.model, 0)
    learner = Learner(backbone.model, fast)
    weights = {key: torch.randn(2, *slow.shape) * 0.2 for key, slow in learner.slow().items()}
    batch = backbone.encode([ROWS[:2], ROWS[2:]])
    found = learner.losses(weights, batch)
    for task in range(2):
        sums, count = 0.0, 0
        with learner.using({key: weight[task : task + 1] for key, weight in weights.items()}) as model:
            for prompt in ROWS[2 * task : 2 * task + 2]:
                pieces = backbone.learnt(prompt)
                ids = torch.tensor([pieces.before + pieces.reply])
                labels = torch.tensor([[IGNORED] * len(pieces.before) + pieces.reply])
                sums += float(model(input_ids=ids, labels=labels).loss) * len(pieces.reply)
                count += len(pieces.reply)
        assert float(found[task]) == pytest.approx(sums / count, abs=1e-5)


def test_only_logits_of_replies_are_computed(open_causal: Any) -> None:
    backbone = open_causal("llama")
    batch = backbone.encode([ROWS])
    shapes = []
    backbone.model.lm_head.register_forward_hook(lambda _, inputs, out: shapes.append(tuple(out.shape)))
    logits = backbone.model(**batch.inputs, use_cache=False).logits
    assert tuple(batch.labels.shape) == tuple(logits.shape[:2])
    assert shapes == [tuple(logits.shape)]
    assert batch.labels.shape[1] == max(len(backbone.learnt(row).reply) for row in ROWS)
    assert batch.inputs["input_ids"].shape[1] == max(
        len(backbone.learnt(row).before) + len(backbone.learnt(row).reply) - 1 for row in ROWS
    )


@pytest.mark.parametrize("beams", [1, 3])
@everyone
def test_a_batch_of_several_tasks_writes_what_each_writes_alone(name: str, beams: int, open_causal: Any) -> None:
    backbone = open_causal(name)
    fast = Lora(r=2).attach(backbone.model, 0)
    learner = Learner(backbone.model, fast)
    generator = torch.Generator().manual_seed(1)
    weights = {key: torch.randn(2, *slow.shape, generator=generator) * 0.5 for key, slow in learner.slow().items()}
    prompts = [ROWS[:2], ROWS[2:]]
    with learner.using(weights):
        together = backbone.generate(prompts, beams=beams, max_new_tokens=12)
    assert len({text for task in together for text in task}) > 1
    for task in range(2):
        with learner.using({key: weight[task : task + 1] for key, weight in weights.items()}):
            alone = [backbone.generate([[row]], beams=beams, max_new_tokens=12)[0][0] for row in prompts[task]]
        assert together[task] == alone


def test_the_models_own_settings_change_no_reply(open_causal: Any, tmp_path: Path) -> None:
    """As Qwen2.5 brings a penalty for what was said before, and its authors' way of drawing."""
    from transformers import AutoModelForCausalLM

    plain = open_causal("llama")
    plain.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    model.generation_config.update(
        do_sample=True, temperature=0.7, top_k=2, repetition_penalty=50.0, no_repeat_ngram_size=1, suppress_tokens=[9]
    )
    model.save_pretrained(tmp_path)
    backbone = BACKBONES.get("causal")(model=str(tmp_path)).open(str(tmp_path))
    backbone.model.eval()
    for beams in (1, 3):
        written = backbone.generate([ROWS], beams=beams, max_new_tokens=20)
        assert written == plain.generate([ROWS], beams=beams, max_new_tokens=20)
    assert ["".join(backbone.stream(row, max_new_tokens=20)) for row in ROWS] == [
        "".join(plain.stream(row, max_new_tokens=20)) for row in ROWS
    ]


@everyone
def test_saved_and_opened_again_it_reads_the_same(name: str, open_causal: Any, tmp_path: Path) -> None:
    backbone = open_causal(name)
    backbone.save(tmp_path)
    again = BACKBONES.get("causal")(model=str(tmp_path)).open(str(tmp_path))
    again.model.eval()
    ours, theirs = (each.encode([ROWS]) for each in (backbone, again))
    assert all(torch.equal(ours.inputs[key], theirs.inputs[key]) for key in ours.inputs)
    with torch.no_grad():
        assert torch.equal(backbone.model(**ours.inputs).logits, again.model(**theirs.inputs).logits)


def test_what_is_not_there_is_told_with_what_makes_it(tmp_path: Path) -> None:
    options = BACKBONES.get("causal")(model=str(tmp_path / "none"), made_by="python make.py")
    with pytest.raises(UserError, match=r"neither a folder nor a reachable Hub model.*make it with: python make.py"):
        options.open(options.model)


@everyone
def test_a_stream_is_what_generate_writes(name: str, open_causal: Any) -> None:
    backbone = open_causal(name)
    for row in ROWS:
        parts = list(backbone.stream(row, max_new_tokens=20))
        assert "".join(parts) == backbone.generate([[row]], max_new_tokens=20)[0][0]
        assert all(parts)
