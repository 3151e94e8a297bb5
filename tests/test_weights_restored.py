"""The slow weights keep their bits, whatever runs in their place and however it ends."""

from __future__ import annotations

import pytest
import torch
from learners import EXACT, assert_same_bits, bits, different_weights, full_learner, lora_learner
from makers import make_batch, plain_loss

from metanlp.algorithms.fomaml import FOMAML
from metanlp.batch import EncodedEpisodes


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_slow_weights_keep_their_bits_after_adapting(make) -> None:
    learner = make()
    before = bits(learner)
    tasks = 3 if learner.fast.stackable else 1
    for optimizer in ("sgd", "adam"):
        algorithm = FOMAML(inner_lr=0.1, inner_optimizer=optimizer)
        support = [make_batch(tasks, seed=seed) for seed in range(4)]
        algorithm.adapt(learner, learner.spread(tasks), support)
        assert_same_bits(learner, before)
        algorithm.meta_gradient(learner, EncodedEpisodes(support, make_batch(tasks, seed=9)))
        assert_same_bits(learner, before)


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_an_exception_in_the_forward_pass_leaves_the_slow_weights(make) -> None:
    learner, batch = make(), make_batch()
    before, weights = bits(learner), different_weights(learner, 1)

    def explode(*_) -> None:
        raise BrokenError

    handle = learner.model.lm_head.register_forward_hook(explode)
    with pytest.raises(BrokenError):
        learner.losses_and_grads(weights, batch)
    with pytest.raises(BrokenError):
        learner.losses(weights, batch)
    handle.remove()
    assert_same_bits(learner, before)
    fresh = make()
    assert torch.equal(learner.losses(learner.spread(1), batch), fresh.losses(fresh.spread(1), batch))


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_using_restores_after_an_exception(make) -> None:
    learner, batch = make(), make_batch()
    before, weights = bits(learner), different_weights(learner, 1)
    start_loss, other_loss = learner.losses(learner.spread(1), batch), learner.losses(weights, batch)
    assert not torch.equal(start_loss, other_loss)
    with pytest.raises(BrokenError), learner.using(weights) as model:  # noqa: PT012
        inside = plain_loss(model, batch)
        assert not torch.is_grad_enabled()
        assert not model.training
        raise BrokenError
    torch.testing.assert_close(inside[None], other_loss, **EXACT)
    assert_same_bits(learner, before)
    assert torch.equal(learner.losses(learner.spread(1), batch), start_loss)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("make", [full_learner, lora_learner])
def test_weights_are_not_put_twice(make) -> None:
    """Inside `using` another pass would leave the first weights behind as the slow ones."""
    learner, batch = make(), make_batch()
    before, weights = bits(learner), different_weights(learner, 1)
    with learner.using(weights), pytest.raises(RuntimeError, match="already"):
        learner.losses(learner.spread(1), batch)
    assert_same_bits(learner, before)
    learner.losses(weights, batch)
    assert_same_bits(learner, before)
