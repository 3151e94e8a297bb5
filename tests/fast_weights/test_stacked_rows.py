"""Rows of an embedding that are a task's own, against an embedding for every task with the rows written in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import VOCABULARY, make_batch, make_t5, task_of, task_part
from torch import nn
from torch.nn import functional as F
from transformers.models.m2m_100.modeling_m2m_100 import M2M100ScaledWordEmbedding

from metanlp.algorithms.fomaml import FOMAML
from metanlp.algorithms.joint import Joint
from metanlp.batch import EncodedEpisodes
from metanlp.errors import UserError
from metanlp.fast_weights._peft_folder import read_adapter
from metanlp.fast_weights._stacked_rows import Met, Rows, StackedEmbedding, StackedOutput
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner
from metanlp.run import save_memory

NEW = [5, 31, 17]


@given(
    tasks=st.integers(1, 3),
    rows=st.integers(1, 3),
    length=st.integers(1, 6),
    scale=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_each_task_reads_and_writes_its_own_rows(tasks, rows, length, scale, seed) -> None:
    """Values and gradients; a row gets none of a text that is without it."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    new = [7, 2]
    ids = torch.randint(0, 9, (tasks * rows, length), generator=generator)
    fast = torch.randn(tasks, 2, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    shared = Rows(table, new, ["shared"], Met(len(new)))
    shared.run_with(fast)
    embedding = M2M100ScaledWordEmbedding(9, 4, 0, embed_scale=3.0) if scale else nn.Embedding(9, 4)
    embedding.requires_grad_(False).weight.data = table
    output = nn.Linear(4, 9, bias=False, dtype=torch.float64)
    output.weight.data = table
    read = StackedEmbedding(embedding, shared)(ids)
    logits = StackedOutput(output.requires_grad_(False), shared)(read)
    target = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
    (found,) = torch.autograd.grad((logits * target).sum(), fast)
    for task in range(tasks):
        part = slice(task * rows, (task + 1) * rows)
        own = fast[task].detach().clone().requires_grad_()
        weight = table.index_copy(0, torch.tensor(new), own)
        wanted = F.embedding(ids[part], weight) * (3.0 if scale else 1.0)
        torch.testing.assert_close(read[part], wanted, rtol=0, atol=1e-12)
        torch.testing.assert_close(logits[part], F.linear(wanted, weight), rtol=0, atol=1e-12)
        total = torch.zeros_like(own)
        for row in range(rows):
            loss = (F.linear(wanted[row], weight) * target[part][row]).sum()
            (grad,) = torch.autograd.grad(loss, own, retain_graph=True)
            total += grad * torch.tensor([[float((ids[part][row] == piece).any())] for piece in new])
        torch.testing.assert_close(found[task], total, rtol=0, atol=1e-10)


def untied() -> nn.Module:
    """As mT5: the output layer has rows of its own."""
    model = make_t5(dtype=torch.float32, layers=2)
    model.config.tie_word_embeddings = False
    generator = torch.Generator().manual_seed(3)
    model.lm_head.weight = nn.Parameter(torch.randn(model.lm_head.weight.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize(
    "make", [lambda: make_t5(dtype=torch.float32, layers=2).eval(), untied], ids=["tied", "untied"]
)
def test_plain_peft_gives_the_same_logits(make, tmp_path: Path) -> None:
    from peft import PeftModel

    model = make()
    learner = Learner(model, Lora(r=2).attach(model, 0, NEW))
    assert sorted(learner.slow())[-1].endswith("token_adapter.trainable_tokens_delta")
    batch = make_batch(2, rows=3)
    batch.inputs["input_ids"][:, 0], batch.inputs["decoder_input_ids"][:, 1] = 31, 17
    with torch.no_grad():
        fresh = make()(**batch.inputs).logits
        assert torch.equal(model(**batch.inputs).logits, fresh)  # bit by bit, until something is learnt
    generator = torch.Generator().manual_seed(4)
    weights = {name: torch.randn(w.shape, generator=generator) * 0.3 for name, w in learner.spread(2).items()}
    with learner.using(weights) as running:
        together = running(**batch.inputs).logits.view(2, 3, -1, VOCABULARY)
    for task in range(2):
        folder = tmp_path / str(task)
        folder.mkdir()
        learner.fast.save(folder, task_of(weights, task), None, "some/base")
        loaded = PeftModel.from_pretrained(make(), str(folder)).eval()
        with torch.no_grad():
            found = loaded(**task_part(batch, task).inputs).logits
        torch.testing.assert_close(found, together[task], rtol=0, atol=2e-5)
        assert (found - fresh.view_as(together)[task]).abs().max() > 1e-2
        read = learner.fast.load(folder, None)
        assert all(torch.equal(read[name], weights[name][task : task + 1]) for name in weights)


def test_an_output_layer_of_its_own_learns_what_the_texts_have(tmp_path: Path) -> None:
    """Against autograd through plain transformers: pieces of the source and of the target."""
    plain, model = untied(), untied()
    learner = Learner(model, Lora(r=2).attach(model, 0, NEW))
    batch = make_batch(1, rows=1)
    batch.inputs["input_ids"][:, 0], batch.inputs["decoder_input_ids"][:, 1] = 31, 17
    _, grads = learner.losses_and_grads(learner.spread(1), batch)
    logits = plain(**batch.inputs).logits
    F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten()).backward()
    for name, place in (("lm_head", plain.lm_head), ("shared", plain.shared)):
        found = grads[f"{name}.token_adapter.trainable_tokens_delta"][0]
        wanted = place.weight.grad[NEW] * torch.tensor([[0.0], [1.0], [1.0]])  # 5 stands in neither
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        assert found[1:].abs().max() > 1e-4


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("algorithm", [Joint(), FOMAML(inner_steps=1, inner_lr=0.1)], ids=["joint", "fomaml"])
@pytest.mark.parametrize(
    "make", [lambda: make_t5(dtype=torch.float32, layers=2).eval(), untied], ids=["tied", "untied"]
)
def test_one_stack_of_two_tasks_is_two_stacks_of_one(make, algorithm, checkpointing: bool) -> None:
    """One text alone has a new piece, so that the texts differ in what they may teach."""
    model = make()
    if checkpointing:
        save_memory(model)
    learner = Learner(model, Lora(r=2).attach(model, 0, NEW))
    batches = [make_batch(2, rows=2, seed=seed) for seed in (1, 2)]
    for batch in batches:
        for ids in (batch.inputs["input_ids"], batch.inputs["decoder_input_ids"]):
            for piece in NEW:
                ids[ids == piece] = 4
        batch.inputs["input_ids"][3, 0] = batch.inputs["decoder_input_ids"][3, 1] = 31
    together = algorithm.meta_gradient(learner, EncodedEpisodes(batches[:1], batches[1])).grads
    alone = [
        algorithm.meta_gradient(learner, EncodedEpisodes([task_part(batches[0], task)], task_part(batches[1], task)))
        for task in range(2)
    ]
    for name, grad in together.items():
        torch.testing.assert_close(grad, (alone[0].grads[name] + alone[1].grads[name]) / 2, rtol=0, atol=1e-6)
    (rows,) = [grad for name, grad in together.items() if name.startswith("shared.token_adapter")]
    assert rows[1].abs().max() > 1e-4
    assert not rows[[0, 2]].any()


def test_an_adapter_of_other_rows_is_refused(tmp_path: Path) -> None:
    first, second = make_t5(dtype=torch.float32), make_t5(dtype=torch.float32)
    learner = Learner(first, Lora(r=2).attach(first, 0, [5, 6]))
    learner.fast.save(tmp_path, learner.spread(1), None, "base")
    with pytest.raises(
        UserError, match=r"its rows of new pieces are \{'shared': \[5, 6\]\}; the model's are \{'shared': \[6, 7\]\}"
    ):
        read_adapter(tmp_path, Lora(r=2).attach(second, 0, [6, 7]))


def test_the_output_layer_is_no_target_besides() -> None:
    with pytest.raises(UserError, match="names the output layer, which learns the rows"):
        Lora(targets=["q", "lm_head"]).attach(make_t5(dtype=torch.float32), 0, NEW)


@pytest.mark.parametrize(
    "make", [lambda: make_t5(dtype=torch.float32, layers=2).eval(), untied], ids=["tied", "untied"]
)
def test_a_whole_model_has_the_rows_written_in(make, tmp_path: Path) -> None:
    """Saved without adapters: plain transformers loads it to the same logits; the model goes on as it was."""
    model = make()
    names = list(model.state_dict())
    learner = Learner(model, Lora(r=2).attach(model, 0, NEW))
    generator = torch.Generator().manual_seed(4)
    weights = {name: torch.randn(w.shape, generator=generator) * 0.3 for name, w in learner.spread(1).items()}
    batch = make_batch(1, rows=3)
    batch.inputs["input_ids"][:, 0], batch.inputs["decoder_input_ids"][:, 1] = 31, 17
    with learner.using(learner.spread(1)) as running:
        start = running(**batch.inputs).logits
    with learner.using(weights) as running:
        wanted = running(**batch.inputs).logits
        learner.fast.save_whole(tmp_path, weights, SimpleNamespace(save=running.save_pretrained, model=model))
        assert torch.equal(running(**batch.inputs).logits, wanted)
    whole = type(model).from_pretrained(tmp_path).eval()
    assert list(whole.state_dict()) == names
    torch.testing.assert_close(whole(**batch.inputs).logits, wanted, rtol=0, atol=2e-5)
    with learner.using(learner.spread(1)) as running:
        assert torch.equal(running(**batch.inputs).logits, start)
