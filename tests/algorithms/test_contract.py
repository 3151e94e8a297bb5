"""What every algorithm keeps to, whatever it does. A new file in the folder is tested by being there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from makers import make_batch, make_t5, plain_recipe, stacked, task_part

import metanlp.algorithms
from metanlp.algorithms._inner_loop import InnerLoop, MetaGradient
from metanlp.batch import EncodedEpisodes
from metanlp.config.load import build_recipe
from metanlp.config.recipe import Adapting
from metanlp.fast_weights.full import Full
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner
from metanlp.registry import ALGORITHMS
from metanlp.weights import mean_over_tasks, own

everyone = pytest.mark.parametrize("name", ALGORITHMS.names())
both_kinds = pytest.mark.parametrize("kind", ["full", "lora"])


def learner_of(kind: str) -> Learner:
    model = make_t5()
    fast = (Full() if kind == "full" else Lora(r=2)).attach(model, 0)
    model.double()
    with torch.no_grad():
        for index, (name, parameter) in enumerate(fast.parameters.items()):
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)) * 0.3)
    return Learner(model, fast)


def make(name: str) -> InnerLoop:
    return ALGORITHMS.get(name)(inner_steps=2, inner_lr=0.01)


def episodes(tasks: int) -> EncodedEpisodes:
    return EncodedEpisodes([make_batch(tasks, seed=1), make_batch(tasks, seed=2)], make_batch(tasks, 3, seed=3))


def part_of(stack: EncodedEpisodes, index: int) -> EncodedEpisodes:
    return EncodedEpisodes([task_part(batch, index) for batch in stack.support], task_part(stack.query, index))


def assert_close(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-11)


def test_the_files_are_the_names() -> None:
    folder = Path(metanlp.algorithms.__file__).parent
    assert ALGORITHMS.names() == sorted(path.stem for path in folder.glob("*.py") if not path.name.startswith("_"))
    assert {"fomaml", "joint", "learned_rates", "reptile"} <= set(ALGORITHMS.names())


@everyone
def test_its_fields_are_its_yaml_options_with_help(name: str, tmp_path: Path) -> None:
    cls = ALGORITHMS.get(name)
    assert cls.kind == name
    assert cls.__doc__
    assert isinstance(cls.adapts, bool)
    for field, info in cls.model_fields.items():
        assert info.description, f"{field} has no help"
        assert not info.is_required(), f"{field} has no default"
    raw = plain_recipe(tmp_path)
    raw["stages"]["meta"]["algorithm"] = name
    raw["stages"]["meta"]["train"]["support"] = 2 * cls().inner_steps
    recipe = build_recipe(raw)
    assert recipe.stages["meta"].algorithm == cls()
    assert build_recipe(yaml.safe_load(yaml.safe_dump(recipe.dump()))) == recipe


@everyone
@both_kinds
def test_a_meta_gradient_fits_what_is_learnt(name: str, kind: str) -> None:
    learner = learner_of(kind)
    before, learnt = own(learner.slow()), make(name).learnt(learner)
    result = make(name).meta_gradient(learner, episodes(1))
    assert isinstance(result, MetaGradient)
    assert result.grads.keys() == learnt.keys()
    for weight, grad in result.grads.items():
        assert grad.shape == learnt[weight].shape
        assert torch.isfinite(grad).all()
        assert not grad.requires_grad
    assert any(grad.abs().max() > 0 for grad in result.grads.values())
    assert result.losses.shape == (1,)
    assert not result.losses.requires_grad
    assert isinstance(result.passes, int)
    assert result.passes >= 1
    assert all(torch.equal(weight, before[key]) for key, weight in learner.slow().items())
    assert all(parameter.grad is None for parameter in learner.model.parameters())


@everyone
@both_kinds
def test_a_step_along_it_lowers_the_query_loss(name: str, kind: str) -> None:
    learner, stack = learner_of(kind), episodes(1)
    algorithm = make(name)

    def adapted_loss() -> float:
        fast = algorithm.adapt(learner, learner.spread(1), stack.support) if algorithm.adapts else learner.spread(1)
        return float(learner.losses(fast, stack.query).sum())

    before = adapted_loss()
    for _ in range(3):
        result = algorithm.meta_gradient(learner, stack)
        for key, weight in algorithm.learnt(learner).items():
            weight.detach().sub_(result.grads[key], alpha=0.02)
    assert adapted_loss() < before


@everyone
def test_a_stack_is_the_mean_of_its_tasks(name: str) -> None:
    learner, stack = learner_of("lora"), episodes(3)
    algorithm = make(name)
    together = algorithm.meta_gradient(learner, stack)
    alone = [algorithm.meta_gradient(learner, part_of(stack, index)) for index in range(3)]
    wanted = stacked([{key: grad[None] for key, grad in each.grads.items()} for each in alone])
    assert_close(together.grads, mean_over_tasks(wanted))
    torch.testing.assert_close(together.losses, torch.cat([each.losses for each in alone]), rtol=0, atol=1e-11)
    assert together.passes == sum(each.passes for each in alone)


@everyone
@both_kinds
def test_one_result_is_not_written_over_by_the_next(name: str, kind: str) -> None:
    learner, algorithm = learner_of(kind), make(name)
    first = algorithm.meta_gradient(learner, episodes(1))
    kept = own(first.grads)
    other = EncodedEpisodes([make_batch(1, seed=11), make_batch(1, seed=12)], make_batch(1, seed=13))
    second = algorithm.meta_gradient(learner, other)
    assert all(torch.equal(first.grads[key], kept[key]) for key in kept)
    assert any(not torch.equal(second.grads[key], kept[key]) for key in kept)
    again = algorithm.meta_gradient(learner, episodes(1))
    assert all(torch.equal(again.grads[key], kept[key]) for key in kept)


@everyone
@both_kinds
def test_adapting_lowers_the_support_loss(name: str, kind: str) -> None:
    learner, algorithm = learner_of(kind), make(name)
    batch = make_batch(1, 3, seed=1)
    start = learner.spread(1)
    fast = algorithm.adapt(learner, start, [batch] * 4)
    assert {key: weight.shape for key, weight in fast.items()} == {key: weight.shape for key, weight in start.items()}
    assert float(learner.losses(fast, batch)) < float(learner.losses(start, batch))
    assert all(not weight.requires_grad for weight in fast.values())


@everyone
def test_it_adapts_as_a_recipe_says(name: str) -> None:
    adapting = Adapting(optimizer="sgd", learning_rate=0.7, decay="linear", clip=None)
    retuned = make(name).retuned(adapting)
    assert type(retuned) is ALGORITHMS.get(name)
    assert (retuned.inner_optimizer, retuned.inner_lr, retuned.inner_decay, retuned.inner_clip) == (
        "sgd",
        0.7,
        "linear",
        None,
    )


@everyone
@both_kinds
def test_an_episode_without_support_still_counts(name: str, kind: str) -> None:
    learner = learner_of(kind)
    result = make(name).meta_gradient(learner, EncodedEpisodes([], make_batch(1, 3)))
    assert all(torch.isfinite(grad).all() for grad in result.grads.values())
