"""Translate with a trained run, adapted to one of its languages, to several, or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanlp.data.types import Example, Prompt
from metanlp.errors import UserError
from metanlp.pipelines._adapted import Adapted, AdaptedPipeline, Wanted, Where
from metanlp.pipelines._inputs import at_least_one, texts_of, too_long
from metanlp.run import Run

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Translation:
    text: str
    cut: bool = False  # whether the source was longer than the model reads


class TranslationPipeline(AdaptedPipeline[str, Translation]):
    """`pipeline("translation", run, adaptation="zu")`; calling it takes a text or several.

    `num_beams`, `max_new_tokens` and `batch_size` hold for every call that does not say otherwise.
    """

    nothing = Translation("")

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
        super().__init__(run, adaptation, device, info)
        self.options = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "batch_size": batch_size}

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
        writing = {"beams": options["num_beams"], "max_new_tokens": options["max_new_tokens"]}
        return self._in_batches(self._each_with_its_own(texts, adaptation), options["batch_size"], writing)

    def _dicts(self, found: Iterable[Translation], caller: int) -> Iterator[dict[str, str]]:
        """`caller` is how many frames up the user's own code is, which a warning names."""
        told = False
        for number, translation in enumerate(found, 1):
            if translation.cut and not told:
                warnings.warn(f"text {number} {too_long(self.limit)}", stacklevel=caller)
                told = True
            yield {"translation_text": translation.text}

    def _text(self, item: str) -> str:
        return item

    def _prompt(self, adapted: Adapted, item: str) -> Prompt:
        prompt: Prompt = self.run.recipe.task.prompt_of(adapted.name, adapted.info, Example(item, ""))
        return prompt

    def _result(self, text: str, cut: bool) -> Translation:
        return Translation(text, cut)
