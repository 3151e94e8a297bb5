"""A reply piece by piece: stopped when it is closed, and drawn as a seed says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from causal_prompts import CHAT


def test_closing_a_stream_stops_it(open_causal: Any) -> None:
    backbone = open_causal("llama")
    passes = []
    backbone.model.register_forward_pre_hook(lambda *_: passes.append(1))
    stream = backbone.stream(CHAT, max_new_tokens=20)
    next(stream)
    before = len(passes)
    stream.close()
    assert list(stream) == []
    assert len(passes) == before < 20
    assert torch.is_grad_enabled()


def test_sampling_is_a_function_of_its_seed(open_causal: Any) -> None:
    backbone = open_causal("llama")

    def drawn(**options: Any) -> str:
        return "".join(backbone.stream(CHAT, max_new_tokens=20, **options))

    assert drawn(temperature=1.5, seed=1) == drawn(temperature=1.5, seed=1)
    assert drawn(temperature=1.5, seed=1) != drawn(temperature=1.5, seed=2)
    assert drawn(temperature=1.5, top_p=1e-6) == drawn()


def test_pieces_are_drawn_as_often_as_they_are_likely() -> None:
    from metanlp.backbones._streaming import Sampling

    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    counts = [0, 0, 0]
    for seed in range(2000):
        counts[Sampling(1.0, 0.75, seed).choose(logits, 3)] += 1
    assert counts[2] == 0  # the first two have 0.8
    assert counts[0] / 2000 == pytest.approx(0.5 / 0.8, abs=0.04)
