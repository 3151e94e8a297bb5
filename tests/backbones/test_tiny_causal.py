"""The causal backbone from scratch: what it reads and learns, in a process that knows nothing of metanlp too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metanlp.backbones.tiny_causal import TinyCausal
from metanlp.config.languages import Additions
from metanlp.data.types import Prompt
from metanlp.errors import UserError
from metanlp.fast_weights.full import Full
from metanlp.learner import Learner
from metanlp.outer import set_grads

PAIRS = [("the one", "cat"), ("größe two", "mat"), ("six", "the"), ("ten", "sat on")]
PROMPTS = [Prompt("", target, turns=("hello", "who", source), system="Answer.") for source, target in PAIRS]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Any]:
    def made(name: str = "backbone", seed: int = 0, **options: Any) -> Any:
        folder = tmp_path / name
        folder.mkdir()
        tiny = TinyCausal(width=32, heads=2, feed_forward=32, layers=1, vocabulary=300, pieces="char", **options)
        tiny.prepare(folder, lambda most: PROMPTS * 5, seed)
        backbone = tiny.open(str(folder))
        backbone.model.eval()
        return backbone

    return made


def test_its_chat_is_turn_after_turn(make: Any) -> None:
    backbone = make()
    pieces = backbone.learnt(Prompt("", "größe 日", turns=("hello", "the", "cat</s>"), system="Answer."))
    assert backbone.tokenizer.decode(pieces.before) == "Answer.</s> hello</s> the</s> cat< /s></s>"
    assert pieces.before.count(backbone.form.end) == 4
    assert backbone.text_of(pieces.reply) == "größe 日"
    assert pieces.reply[-1] == backbone.form.end
    assert 2 not in pieces.before + pieces.reply  # unknown


def test_it_learns(make: Any) -> None:
    backbone = make()
    learner = Learner(backbone.model, Full().attach(backbone.model, 0))
    batch = backbone.encode([PROMPTS])
    optimizer = torch.optim.Adam(learner.fast.parameters.values(), lr=1e-2)
    for _ in range(80):
        _, grads = learner.losses_and_grads(learner.spread(1), batch)
        set_grads(learner.fast.parameters, {name: grad[0] for name, grad in grads.items()})
        optimizer.step()
    with learner.using(learner.spread(1)):
        assert backbone.generate([PROMPTS], max_new_tokens=10) == [[target for _, target in PAIRS]]


def test_plain_transformers_writes_the_same(make: Any, tmp_path: Path) -> None:
    backbone = make()
    code = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), AutoModelForCausalLM.from_pretrained(sys.argv[1])
chat = [{"role": "user", "content": "the one"}]
read = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
written = model.generate(**read, max_new_tokens=9, do_sample=False)[0, read["input_ids"].shape[1]:]
print(tokenizer.decode(written, skip_special_tokens=True))
assert "metanlp" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "backbone")],
        capture_output=True,
        check=True,
        timeout=120,
        text=True,
    )
    assert done.stdout.strip() == backbone.generate([[Prompt("the one")]], max_new_tokens=9)[0][0]


def test_the_seed_is_all_there_is_to_chance(make: Any) -> None:
    one, same, other = (make(name, seed).model.state_dict() for name, seed in [("a", 3), ("b", 3), ("c", 4)])
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_there_is_nothing_to_add() -> None:
    with pytest.raises(UserError, match="`tiny_causal` learns its pieces from the training tasks"):
        TinyCausal().extend(Additions(pieces=3))
