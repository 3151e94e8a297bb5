"""What pipelines over a run share: whose weights each row needs, and which rows go through the model together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from metanlp.adaptation import Adaptation, learn, load_adaptation
from metanlp.data.types import Example, Prompt
from metanlp.encoding import filled
from metanlp.errors import UserError
from metanlp.pipelines._batches import batches_of
from metanlp.pipelines._inputs import device_of
from metanlp.run import Run
from metanlp.sharing import find_adaptation
from metanlp.weights import Weights, side_by_side

if TYPE_CHECKING:
    import torch

LOOKAHEAD = 32  # batches read before they are sorted by length
Where = str | Path | None  # an adaptation: its name in the run, a folder, a name on the Hub; None: the start itself
Wanted = Where | Sequence[Where]
Item = TypeVar("Item")  # what a row is made of
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Adapted:
    """A task to write for: its name, facts about it, weights `(1, *shape)`."""

    name: str
    info: Mapping[str, Any]
    weights: Weights


class AdaptedPipeline(ABC, Generic[Item, Result]):
    """A trained run and some adaptations of it, loaded once.

    A pipeline says what an item's text is (for its length; one of white space gets `nothing`), which prompt is made of it,
    and what of the texts written for the prompts of one task.
    """

    nothing: Result

    def __init__(
        self,
        run: Run | str | Path,
        adaptation: Wanted,
        device: int | str | torch.device | None,
        info: Mapping[str, Any] | None,
    ) -> None:
        self.names: list[Where] = [adaptation] if isinstance(adaptation, Where) else [*dict.fromkeys(adaptation)]
        if not self.names:
            raise UserError("the list of adaptations is empty; name one or more, or give none to use the start itself")
        self.run = run if isinstance(run, Run) else Run.open(run)
        self.info = dict(info or {})
        self.parts = self.run.trained(device_of(device))
        self._loaded: dict[Where, Adapted] = {}
        for name in self.names:
            self.adapted(name)

    @abstractmethod
    def _text(self, item: Item) -> str: ...

    @abstractmethod
    def _prompt(self, adapted: Adapted, item: Item) -> Prompt: ...

    @abstractmethod
    def _result(self, text: str, cut: bool) -> Result: ...

    @property
    def limit(self) -> int:
        """How many pieces the model reads."""
        return int(self.parts.backbone.max_length)

    def adapted(self, where: Where) -> Adapted:
        """An adaptation, loaded when it is first asked for; of None, the start."""
        if where not in self._loaded:
            if where is None:
                self._loaded[None] = Adapted("", self.info, self.parts.learner.spread(1))
            else:
                made, weights = load_adaptation(self.run, self.parts, find_adaptation(self.run, where))
                self._loaded[where] = Adapted(made.name, {**made.task_info, **self.info}, weights)
        return self._loaded[where]

    def learn(
        self, name: str, examples: Sequence[Example], info: Mapping[str, Any] | None = None, *, show: bool = False
    ) -> Adaptation:
        """Adapt to examples for as long as this pipeline lives; it then writes with that. Nothing is saved."""
        made, weights = learn(self.run, self.parts, examples, name=name, info={**(info or {}), **self.info}, show=show)
        self._loaded[name] = Adapted(name, made.task_info, weights)
        self.names = [name]
        return made

    def one(self, adaptation: Where) -> Adapted:
        """The adaptation that is meant where one does for all: the one asked for, or the only one there is."""
        if adaptation is None and len(self.names) > 1:
            raise UserError(
                f"{len(self.names)} adaptations are loaded; say whose each text is: adaptation=[...], one for each text"
            )
        return self.adapted(self.names[0] if adaptation is None else adaptation)

    def _each_with_its_own(self, items: Iterable[Item], adaptation: Wanted) -> Iterator[tuple[Item, Adapted]]:
        if not isinstance(adaptation, Where):
            return _paired(items, [self.adapted(each) for each in adaptation])
        one = self.one(adaptation)
        return ((item, one) for item in items)

    def _in_batches(
        self, waiting: Iterator[tuple[Item, Adapted]], batch_size: int, options: Mapping[str, Any]
    ) -> Iterator[Result]:
        """A result for each item, in their order; `options` are those of the backbone's `generate`."""
        together = self.parts.learner.fast.stackable
        while ahead := list(islice(waiting, LOOKAHEAD * batch_size)):
            found = [self.nothing] * len(ahead)
            items, adapted = zip(*ahead, strict=True)
            for batch in batches_of([self._text(item) for item in items], adapted, batch_size, together):
                tasks = [[self._prompt(each, items[place]) for place in places] for each, places in batch.items()]
                for places, results in zip(batch.values(), self._write(list(batch), tasks, options), strict=True):
                    for place, result in zip(places, results, strict=True):
                        found[place] = result
            yield from found

    def _write(
        self, adapted: Sequence[Adapted], tasks: Sequence[Sequence[Prompt]], options: Mapping[str, Any]
    ) -> list[list[Result]]:
        """What the model writes for the rows of each task; a task with fewer rows than another repeats its last."""
        rows = max(map(len, tasks))
        level = [filled(task, rows) for task in tasks]
        with self.parts.learner.generating(side_by_side([each.weights for each in adapted])):
            written = self.parts.backbone.generate(level, **options)
        most = options["max_new_tokens"]
        cut = [self.parts.backbone.cut(task, max_new_tokens=most) for task in tasks]
        return [
            [self._result(*pair) for pair in zip(texts[: len(task)], short, strict=True)]
            for task, texts, short in zip(tasks, written, cut, strict=True)
        ]


def _paired(items: Iterable[Item], adapted: Sequence[Adapted]) -> Iterator[tuple[Item, Adapted]]:
    """Each item with its own; UserError where there are more of one than of the other."""
    left = iter(adapted)
    for item in items:
        own = next(left, None)
        if own is None:
            break
        yield item, own
    else:
        if next(left, None) is None:
            return
    raise UserError(f"there are not as many texts as the {len(adapted)} adaptations for them")
