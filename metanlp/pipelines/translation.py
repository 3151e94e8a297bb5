"""Translate with a trained run, adapted to one of its languages or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from metanlp.adaptation import load_adaptation
from metanlp.data.types import Example
from metanlp.run import Run

LOOKAHEAD = 32  # batches read before they are sorted by length


class TranslationPipeline:
    """`pipeline("translation", run, adaptation="zu")`; calling it takes a text or several."""

    def __init__(
        self,
        run: Run | str | Path,
        adaptation: str | None = None,
        *,
        device: Any = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        self.run = run if isinstance(run, Run) else Run.open(run)
        self.parts = self.run.trained(device)
        if adaptation is None:
            self.name, self.info, self.weights = "", dict(info or {}), self.parts.learner.spread(1)
        else:
            made, self.weights = load_adaptation(self.run, self.parts, adaptation)
            self.name, self.info = made.name, {**made.task_info, **(info or {})}

    def __call__(
        self, texts: str | Sequence[str], *, num_beams: int = 4, max_new_tokens: int = 128, batch_size: int = 32
    ) -> list[dict[str, str]]:
        """`[{"translation_text": ...}, ...]`, one for each text, in their order."""
        given = [texts] if isinstance(texts, str) else texts
        options = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "batch_size": batch_size}
        return [{"translation_text": text} for text in self.stream(given, **options)]

    def stream(
        self, texts: Iterable[str], *, num_beams: int = 4, max_new_tokens: int = 128, batch_size: int = 32
    ) -> Iterator[str]:
        """Translations in the order of `texts`, which may be endless: it is read some batches ahead.

        Texts of like length go together. A text of nothing but white space comes back as an empty one.
        """
        waiting = iter(texts)
        while ahead := list(islice(waiting, LOOKAHEAD * batch_size)):
            full = sorted((at for at, text in enumerate(ahead) if text.strip()), key=lambda at: len(ahead[at]))
            written = [""] * len(ahead)
            for first in range(0, len(full), batch_size):
                places = full[first : first + batch_size]
                batch = [self.run.recipe.task.prompt_of(self.name, self.info, Example(ahead[at], "")) for at in places]
                with self.parts.learner.using(self.weights):
                    found = self.parts.backbone.generate([batch], beams=num_beams, max_new_tokens=max_new_tokens)[0]
                for at, text in zip(places, found, strict=True):
                    written[at] = text
            yield from written
