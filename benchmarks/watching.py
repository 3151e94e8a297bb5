"""What the outer steps of a training spend their time on: clocks on the project's own methods while they run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from machine import Now

if TYPE_CHECKING:
    from metanlp.batch import Batch
    from metanlp.config.recipe import Recipe
    from metanlp.data.types import Episode

PASSES, REST = "forward and backward", "outer step"
SECTIONS = (PASSES, "inner steps", "drawing", "encoding", "reducing", REST)


@dataclass
class Lap:
    """One step. Of `pieces` that went through the model `real` were no padding."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # by section
    real: int = 0
    pieces: int = 0
    operations: int = 0  # floating-point ones, where they were counted
    stacks: list[float] = field(default_factory=list)  # seconds of each stack of episodes, encoding included
    episodes: list[list[Episode]] = field(default_factory=list)  # of each stack
    bytes: int = 0  # that ranks exchanged


class Watch:
    """Seconds of each section without those of the sections inside it; `now` is the clock they are read from."""

    def __init__(self, now: Now) -> None:
        self.now, self.laps, self._inside = now, [Lap()], [REST]
        self._since = now()

    @property
    def lap(self) -> Lap:
        return self.laps[-1]

    def next_lap(self) -> None:
        self._turn()
        self.laps.append(Lap())

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        self._turn()
        self._inside.append(name)
        try:
            yield
        finally:
            self._turn()
            self._inside.pop()

    def clocked(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*arguments: Any, **options: Any) -> Any:
            with self.section(name):
                return method(*arguments, **options)

        return call

    def _turn(self) -> None:
        moment = self.now()
        self.lap.seconds[self._inside[-1]] += moment - self._since
        self._since = moment


@contextmanager
def watching(recipe: Recipe, stage: str, now: Now) -> Iterator[Watch]:
    """Watches `training.train_stage` of that stage. A lap goes from one reduction to the next.

    The first lap warms up; there alone the operations of the passes are counted.
    """
    from accelerate import Accelerator

    import metanlp.training
    from metanlp.algorithms._inner_loop import InnerLoop
    from metanlp.data.sampler import EpisodeSampler
    from metanlp.learner import Learner

    watch, began = Watch(now), [0.0]
    algorithm = type(recipe.stages[stage].algorithm)
    encode, meta_gradient, reduce = metanlp.training.encode_episodes, algorithm.meta_gradient, Accelerator.reduce

    def encoding(family: Any, backbone: Any, episodes: Sequence[Episode], *rest: Any) -> Any:
        watch.lap.episodes.append(list(episodes))
        began[0] = now()
        return watch.clocked("encoding", encode)(family, backbone, episodes, *rest)

    def of_a_stack(*arguments: Any) -> Any:
        result = watch.clocked("inner steps", meta_gradient)(*arguments)
        watch.lap.stacks.append(now() - began[0])
        return result

    def passing(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(learner: Learner, weights: Any, batch: Batch, *rest: Any) -> Any:
            real, pieces = pieces_of(batch)
            watch.lap.real += real
            watch.lap.pieces += pieces
            with watch.section(PASSES), counting_operations(watch.lap) if len(watch.laps) == 1 else nullcontext():
                return method(learner, weights, batch, *rest)

        return call

    def reducing(accelerator: Accelerator, tensor: Any, *rest: Any) -> Any:
        watch.lap.bytes = tensor.numel() * tensor.element_size()
        total = watch.clocked("reducing", reduce)(accelerator, tensor, *rest)
        watch.next_lap()
        return total

    watched: list[tuple[Any, str, Callable[..., Any]]] = [
        (metanlp.training, "encode_episodes", encoding),
        (algorithm, "meta_gradient", of_a_stack),
        (InnerLoop, "step", watch.clocked("inner steps", InnerLoop.step)),
        (Learner, "losses_and_grads", passing(Learner.losses_and_grads)),
        (Learner, "losses_and_products", passing(Learner.losses_and_products)),
        (EpisodeSampler, "at_step", watch.clocked("drawing", EpisodeSampler.at_step)),
        (Accelerator, "reduce", reducing),
    ]
    with ExitStack() as all_of_them:
        for owner, name, method in watched:
            all_of_them.enter_context(patch.object(owner, name, method))
        yield watch


@contextmanager
def counting_operations(lap: Lap) -> Iterator[None]:
    """Adds to the lap what torch counts of matrix products, attention and convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        yield
    lap.operations += counter.get_total_flops()


def pieces_of(batch: Batch) -> tuple[int, int]:
    """How many pieces of a batch are no padding, and how many there are: read ones and, with a decoder, written ones."""
    from metanlp.batch import IGNORED

    real = pieces = 0
    for part in batch.parts:
        ids = part.inputs["input_ids"]
        pieces += ids.numel()
        if "attention_mask" in part.inputs:
            real += int(part.inputs["attention_mask"].sum()) + int((part.labels != IGNORED).sum())
            pieces += part.labels.numel()
        else:
            last = part.inputs["logits_to_keep"].max(1).values  # where the last piece of a reply is predicted
            real += int((last + 1).sum())
    return real, pieces


def steps_of(recipe: Recipe, stage: str, steps: int, blocks: int = 1) -> Recipe:
    """The recipe with that stage alone, from the backbone's own weights, over and over: each time a step to warm up and
    `steps` more, without what is done once in a while."""
    from metanlp.errors import UserError, did_you_mean

    if stage not in recipe.stages:
        hint = did_you_mean(stage, recipe.stages)
        raise UserError(f"the recipe has no stage {stage!r}{hint}; its stages are {', '.join(recipe.stages)}")
    own = recipe.stages[stage]
    train = own.train.model_copy(update={"steps": steps + 1, "validate_every": 0, "save_every": steps + 2})
    one = own.model_copy(update={"after": None, "train": train})
    return recipe.model_copy(
        update={
            "stages": {f"{stage}-{block}": one for block in range(blocks)},
            "evaluation": recipe.evaluation.model_copy(update={"stages": []}),
            "trackers": [],
        }
    )
