"""Gradients that are left as the factors of a product are those of plain autograd, whatever the model reads twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from learners import EXACT
from makers import VOCABULARY, make_batch, make_t5
from torch import nn
from transformers import BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM

from metanlp.batch import Batch
from metanlp.fast_weights.full import Full
from metanlp.learner import Learner
from metanlp.run import save_memory
from metanlp.weights import Gradients, Product


@pytest.fixture(autouse=True)
def _every_matrix_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metanlp.products.IN_CACHE", 0)
    monkeypatch.setattr("metanlp.products.LARGE", 1)
    monkeypatch.setattr("metanlp.products.SHARE", 1e9)


def bart() -> nn.Module:
    """Layers with a bias, and embeddings tied to the output."""
    torch.manual_seed(0)
    sizes = {
        f"{side}_{what}": size
        for side in ("encoder", "decoder")
        for what, size in {"layers": 1, "attention_heads": 2, "ffn_dim": 12}.items()
    }
    config = BartConfig(
        vocab_size=VOCABULARY, d_model=8, dropout=0.0, pad_token_id=0, forced_eos_token_id=None, **sizes
    )
    return BartForConditionalGeneration(config).double().train()


def llama() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, tie_word_embeddings=True, **sizes)).double().train()


class Twice(nn.Module):
    """One matrix in two linear layers, transposed in a third place, and looked up."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, VOCABULARY)
        self.double()

    def forward(self, input_ids: torch.Tensor, **_: object) -> object:
        weight = self.embedding.weight
        hidden = nn.functional.linear(self.embedding(input_ids) @ weight.T, weight).tanh()

        class Output:
            logits = nn.functional.linear(hidden, weight)

        return Output


class Weighed(nn.Module):
    """An embedding whose gradient is weighed by how often a piece stands in the batch, or which a lookup changes."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, 8, **options)
        self.head = nn.Linear(8, VOCABULARY)
        self.double()

    def forward(self, input_ids: torch.Tensor, **_: object) -> object:
        hidden = self.embedding(input_ids).tanh()

        class Output:
            logits = self.head(hidden)

        return Output


class InPlace(nn.Module):
    """A layer with a bias whose outputs are added to in place, a matrix that shares its gradient with another, and a vector."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.first, self.head = nn.Embedding(VOCABULARY, 8), nn.Linear(8, 8), nn.Linear(8, VOCABULARY)
        self.other, self.vector = nn.Parameter(torch.randn(8, 8)), nn.Parameter(torch.randn(8))
        self.double()

    def forward(self, input_ids: torch.Tensor, **_: object) -> object:
        hidden = self.first(self.embedding(input_ids))
        hidden += 1
        hidden = nn.functional.linear(hidden.tanh(), self.first.weight + self.other)
        hidden = hidden * nn.functional.linear(hidden, self.vector).sigmoid().unsqueeze(-1)

        class Output:
            logits = self.head(hidden)

        return Output


MODELS: dict[str, Callable[[], nn.Module]] = {
    "t5": make_t5,
    "bart": bart,
    "llama": llama,
    "twice": Twice,
    "weighed": partial(Weighed, scale_grad_by_freq=True),
    "changed": partial(Weighed, max_norm=0.5),
    "in place": InPlace,
}


def batch_for(kind: str, seed: int = 0) -> Batch:
    batch = make_batch(1, rows=4, seed=seed, length=6)
    if kind in ("t5", "bart"):
        return batch
    inputs = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    return replace(batch, inputs=inputs, labels=batch.labels[:, :6].contiguous())


def whole(grads: Gradients) -> dict:
    return {
        name: grad.left.T @ grad.right if isinstance(grad, Product) else grad.squeeze(0) for name, grad in grads.items()
    }


def check(learner: Learner, batch: Batch) -> list[str]:
    """Products complete what autograd finds; returns the names of those that are products."""
    losses, wanted = learner.losses_and_grads(learner.spread(1), batch)
    again, grads = learner.losses_and_products(learner.spread(1), batch)
    torch.testing.assert_close(again, losses, **EXACT)
    assert not any(factor.requires_grad for grad in grads.values() if isinstance(grad, Product) for factor in grad)
    assert grads.keys() == wanted.keys()
    for name, grad in whole(grads).items():
        torch.testing.assert_close(grad, wanted[name][0], **EXACT)
    return [name for name, grad in grads.items() if isinstance(grad, Product)]


@pytest.mark.parametrize("kind", MODELS)
def test_products_are_what_autograd_finds(kind: str) -> None:
    """Of linear layers, and of embeddings that are looked up and tied to the output; not where anything else reads them."""
    model = MODELS[kind]()
    learner = Learner(model, Full().attach(model, 0))
    products = check(learner, batch_for(kind))
    assert (
        len(products)
        == {"t5": 19, "bart": 19, "llama": 15, "twice": 0, "weighed": 1, "changed": 1, "in place": 2}[kind]
    )


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_a_batch_in_parts_has_the_product_of_all_parts(kind: str) -> None:
    model = MODELS[kind]()
    learner = Learner(model, Full().attach(model, 0))
    assert check(learner, replace(batch_for(kind), others=(batch_for(kind, 1), batch_for(kind, 2))))


def test_frozen_layers_are_left_alone() -> None:
    model = make_t5()
    learner = Learner(model, Full(match="decoder").attach(model, 0))
    products = check(learner, batch_for("t5"))
    assert products
    assert all(name.startswith("decoder") for name in products)


def test_long_factors_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """24 rows of 8 and 8 numbers are six times a matrix of 8 x 8; a short part is added to a long one, three are long."""
    monkeypatch.setattr("metanlp.products.SHARE", 3.0)
    model = llama()
    learner = Learner(model, Full().attach(model, 0))
    long, short = batch_for("llama"), batch_for("llama", 1)
    short = replace(short, inputs={n: t[:1] for n, t in short.inputs.items()}, labels=short.labels[:1])
    assert not check(learner, long)
    assert check(learner, short)
    assert not check(learner, replace(long, others=(short,)))
    assert not check(learner, replace(short, others=(short, short)))


def test_layers_that_run_again_for_their_gradient_leave_no_products() -> None:
    model = make_t5()
    save_memory(model)
    learner = Learner(model, Full().attach(model, 0))
    assert not check(learner, replace(batch_for("t5"), others=(batch_for("t5", 1),)))


def test_small_models_and_rounded_passes_leave_no_products(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_t5(dtype=torch.float32)
    rounded = Learner(model, Full().attach(model, 0), precision="bf16")
    _, grads = rounded.losses_and_products(rounded.spread(1), batch_for("t5"))
    assert not any(isinstance(grad, Product) for grad in grads.values())
    monkeypatch.setattr("metanlp.products.IN_CACHE", 2**22)
    model = make_t5()
    assert not check(Learner(model, Full().attach(model, 0)), batch_for("t5"))
