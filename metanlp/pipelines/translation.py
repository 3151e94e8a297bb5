"""Translate with a trained run, adapted to one of its languages, to several, or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanlp.adaptation import Adaptation, learn, load_adaptation
from metanlp.data.types import Example, Prompt
from metanlp.errors import UserError
from metanlp.pipelines._batches import batches_of
from metanlp.pipelines._inputs import at_least_one, device_of, texts_of, too_long
from metanlp.run import Run
from metanlp.sharing import find_adaptation
from metanlp.weights import Weights, side_by_side

if TYPE_CHECKING:
    import torch

LOOKAHEAD = 32  # batches read before they are sorted by length
Where = str | Path | None  # an adaptation: its name in the run, a folder, a name on the Hub; None: the start itself
Wanted = Where | Sequence[Where]


@dataclass(frozen=True)
class Translation:
    text: str
    cut: bool = False  # whether the source was longer than the model reads


@dataclass(frozen=True, eq=False)
class Adapted:
    """A task to translate for: its name, facts about it, weights `(1, *shape)`."""

    name: str
    info: Mapping[str, Any]
    weights: Weights


class TranslationPipeline:
    """`pipeline("translation", run, adaptation="zu")`; calling it takes a text or several.

    `num_beams`, `max_new_tokens` and `batch_size` hold for every call that does not say otherwise.
    """

    def __init__(
        self,
        run: Run | str | Path,
        adaptation: Wanted = None,
        *,
        device: int | str | torch.device | None = None,
        num_beams: int = 4,
        max_new_tokens: int = 128,
        batch_size: int = 32,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        at_least_one(num_beams=num_beams, max_new_tokens=max_new_tokens, batch_size=batch_size)
        self.names: list[Where] = [adaptation] if isinstance(adaptation, Where) else [*dict.fromkeys(adaptation)]
        if not self.names:
            raise UserError("the list of adaptations is empty; name one or more, or give none to use the start itself")
        self.run = run if isinstance(run, Run) else Run.open(run)
        self.info = dict(info or {})
        self.options = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "batch_size": batch_size}
        self.parts = self.run.trained(device_of(device))
        self._loaded: dict[Where, Adapted] = {}
        for name in self.names:
            self.adapted(name)

    def __call__(
        self,
        texts: str | Iterable[str],
        *,
        adaptation: Wanted = None,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        batch_size: int | None = None,
    ) -> list[dict[str, str]] | Iterator[dict[str, str]]:
        """`[{"translation_text": ...}, ...]`, one for each text, in their order; for an iterator, an iterator of the same.

        `adaptation` is one for all texts, or one for each. Warns once where a text is longer than the model reads.
        """
        given = texts_of(texts)
        if isinstance(given, list) and not isinstance(adaptation, Where) and len(adaptation) != len(given):
            raise UserError(f"{len(given)} texts and {len(adaptation)} adaptations; give one for each, or one for all")
        found = self.stream(
            given, adaptation=adaptation, num_beams=num_beams, max_new_tokens=max_new_tokens, batch_size=batch_size
        )
        if isinstance(given, list):
            return list(self._dicts(found, caller=3))
        return self._dicts(found, caller=2)

    def stream(
        self,
        texts: Iterable[str],
        *,
        adaptation: Wanted = None,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Translation]:
        """Translations in the order of `texts`, which may be endless: it is read some batches ahead.

        Texts of like length go together. A text of nothing but white space comes back as an empty one.
        """
        asked = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "batch_size": batch_size}
        options = self.options | {name: number for name, number in asked.items() if number is not None}
        at_least_one(**options)
        return self._stream(self._each_with_its_own(texts, adaptation), **options)

    def _stream(
        self, waiting: Iterator[tuple[str, Adapted]], num_beams: int, max_new_tokens: int, batch_size: int
    ) -> Iterator[Translation]:
        together = self.parts.learner.fast.stackable
        while ahead := list(islice(waiting, LOOKAHEAD * batch_size)):
            written = [Translation("")] * len(ahead)
            sources, adapted = zip(*ahead, strict=True)
            for batch in batches_of(sources, adapted, batch_size, together):
                tasks = [[self._prompt(each, sources[place]) for place in places] for each, places in batch.items()]
                found = self._write(list(batch), tasks, num_beams, max_new_tokens)
                for places, translations in zip(batch.values(), found, strict=True):
                    for place, translation in zip(places, translations, strict=True):
                        written[place] = translation
            yield from written

    @property
    def limit(self) -> int:
        """How many pieces of a text the model reads."""
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
        """Adapt to examples for as long as this pipeline lives; it then translates with that. Nothing is saved."""
        made, weights = learn(self.run, self.parts, examples, name=name, info={**(info or {}), **self.info}, show=show)
        self._loaded[name] = Adapted(name, made.task_info, weights)
        self.names = [name]
        return made

    def _dicts(self, found: Iterable[Translation], caller: int) -> Iterator[dict[str, str]]:
        """`caller` is how many frames up the user's own code is, which a warning names."""
        told = False
        for number, translation in enumerate(found, 1):
            if translation.cut and not told:
                warnings.warn(f"text {number} {too_long(self.limit)}", stacklevel=caller)
                told = True
            yield {"translation_text": translation.text}

    def _each_with_its_own(self, texts: Iterable[str], adaptation: Wanted) -> Iterator[tuple[str, Adapted]]:
        if not isinstance(adaptation, Where):
            return _paired(texts, [self.adapted(each) for each in adaptation])
        if adaptation is None and len(self.names) > 1:
            raise UserError(
                f"{len(self.names)} adaptations are loaded; say whose each text is: adaptation=[...], one for each text"
            )
        one = self.adapted(self.names[0] if adaptation is None else adaptation)
        return ((text, one) for text in texts)

    def _prompt(self, adapted: Adapted, text: str) -> Prompt:
        return self.run.recipe.task.prompt_of(adapted.name, adapted.info, Example(text, ""))

    def _write(
        self, adapted: Sequence[Adapted], tasks: Sequence[Sequence[Prompt]], beams: int, most: int
    ) -> list[list[Translation]]:
        """What the model writes for the rows of each task; a task with fewer rows than another repeats its last."""
        rows = max(map(len, tasks))
        filled = [[*task, *[task[-1]] * (rows - len(task))] for task in tasks]
        backbone = self.parts.backbone
        with self.parts.learner.using(side_by_side([each.weights for each in adapted])):
            written = backbone.generate(filled, beams=beams, max_new_tokens=most)
        return [
            [Translation(*pair) for pair in zip(texts[: len(task)], backbone.cut(task), strict=True)]
            for task, texts in zip(tasks, written, strict=True)
        ]


def _paired(texts: Iterable[str], adapted: Sequence[Adapted]) -> Iterator[tuple[str, Adapted]]:
    """Each text with its own; UserError where there are more of one than of the other."""
    left = iter(adapted)
    for text in texts:
        own = next(left, None)
        if own is None:
            break
        yield text, own
    else:
        if next(left, None) is None:
            return
    raise UserError(f"there are not as many texts as the {len(adapted)} adaptations for them")
