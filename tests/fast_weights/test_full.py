"""Which weights are fast, and how they are exchanged and read back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from makers import make_batch, make_t5

from metanlp.errors import UserError
from metanlp.fast_weights.full import Full
from metanlp.learner import Learner


def test_a_pattern_chooses_the_fast_weights_and_freezes_the_others() -> None:
    model = make_t5()
    fast = Full(match=r"^decoder|shared").attach(model, 0)
    names = {name for name, _ in model.named_parameters()}
    assert set(fast.parameters) == {name for name in names if name.startswith("decoder") or "shared" in name}
    assert 0 < len(fast.parameters) < len(names)
    for name, weight in model.named_parameters():
        assert weight.requires_grad == (name in fast.parameters)


def test_a_pattern_that_finds_nothing_is_told_with_names() -> None:
    with pytest.raises(UserError, match=r"'encodr' finds none of the weights, as shared.weight or"):
        Full(match="encodr").attach(make_t5(), 0)


def test_a_broken_pattern_is_the_users_mistake() -> None:
    with pytest.raises(ValueError, match="regular expression"):
        Full(match="(")


def test_putting_copies_nothing_and_restoring_brings_back_the_very_storage() -> None:
    model = make_t5()
    fast = Full().attach(model, 0)
    before = {name: parameter.data_ptr() for name, parameter in fast.parameters.items()}
    weights = {
        name: torch.randn(1, *parameter.shape, dtype=torch.float64) for name, parameter in fast.parameters.items()
    }
    fast.put(weights)
    assert all(parameter.data_ptr() == weights[name].data_ptr() for name, parameter in fast.parameters.items())
    fast.restore()
    assert {name: parameter.data_ptr() for name, parameter in fast.parameters.items()} == before
    fast.restore()
    assert {name: parameter.data_ptr() for name, parameter in fast.parameters.items()} == before


def test_tied_weights_are_exchanged_once_and_stay_tied() -> None:
    model = make_t5()
    learner = Learner(model, Full().attach(model, 0))
    assert model.lm_head.weight is model.shared.weight
    assert "lm_head.weight" not in learner.fast.parameters
    weights = {name: weight * 1.5 for name, weight in learner.spread(1).items()}
    with learner.using(weights):
        assert torch.equal(model.lm_head.weight, weights["shared.weight"][0])


def test_a_saved_folder_reads_back_bit_for_bit(tmp_path: Path) -> None:
    model = make_t5(dtype=torch.float32)
    learner = Learner(model, Full(match="decoder").attach(model, 0))
    backbone = SimpleNamespace(model=model, save=model.save_pretrained)
    weights = {name: torch.randn(1, *weight.shape) for name, weight in learner.slow().items()}
    with learner.using(weights):
        learner.fast.save(tmp_path, weights, backbone, "base")
    read = learner.fast.load(tmp_path, backbone)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)
    other = type(model).from_pretrained(tmp_path).eval()
    batch = make_batch()
    with learner.using(weights), torch.no_grad():
        assert torch.equal(model(**batch.inputs).logits, other(**batch.inputs).logits)


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    model = make_t5()
    fast = Full().attach(model, 0)
    with pytest.raises(UserError, match="is not readable as a model"):
        fast.load(tmp_path / "nothing", SimpleNamespace(model=model))
