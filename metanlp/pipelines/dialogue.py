"""Answer chats with a trained run, as one person, as several, or as nobody in particular."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanlp.data.types import Example, Prompt
from metanlp.errors import UserError
from metanlp.pipelines._adapted import Adapted, AdaptedPipeline, Wanted, Where
from metanlp.pipelines._chats import Chat, Message, answered, chats_of
from metanlp.pipelines._inputs import at_least_one
from metanlp.run import Run

if TYPE_CHECKING:
    import torch

Answered = list[dict[str, list[Message]]]


@dataclass(frozen=True)
class Reply:
    text: str
    cut: bool = False  # whether the oldest messages were not read


class DialoguePipeline(AdaptedPipeline[Chat, Reply]):
    """`pipeline("dialogue", run, adaptation="anna")`; calling it takes a chat or several.

    All options hold for every call that does not say otherwise. A chat's own system message stands for the recipe's.
    """

    nothing = Reply("")

    def __init__(
        self,
        run: Run | str | Path,
        adaptation: Wanted = None,
        *,
        device: int | str | torch.device | None = None,
        num_beams: int = 1,
        max_new_tokens: int = 128,
        batch_size: int = 32,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self.options: dict[str, Any] = {
            "num_beams": num_beams,
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "do_sample": do_sample,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
        }
        _check(self.options)
        super().__init__(run, adaptation, device, info)

    def __call__(
        self, chats: Sequence[Message] | Iterable[Sequence[Message]], *, adaptation: Wanted = None, **options: Any
    ) -> Answered | list[Answered] | Iterator[Answered]:
        """`[{"generated_text": [*messages, reply]}]`; for a list of chats a list of these, for an iterator an iterator.

        `adaptation` is one for all chats, or one for each. With `do_sample` pieces are drawn, and each chat's reply depends
        on it, its adaptation and the seed alone. Warns once where the model does not read the oldest messages.
        """
        given, options = chats_of(chats), self._with(options)
        several = [given] if isinstance(given, Chat) else given
        if isinstance(several, list) and not isinstance(adaptation, Where) and len(adaptation) != len(several):
            raise UserError(
                f"{len(several)} chats and {len(adaptation)} adaptations; give one for each, or one for all"
            )
        found = self._answers(several, adaptation, options)
        if not isinstance(several, list):
            return found
        listed = list(found)
        return listed[0] if isinstance(given, Chat) else listed

    def stream(self, chat: Sequence[Message], *, adaptation: Where = None, **options: Any) -> Iterator[str]:
        """The reply to one chat in pieces, as they are written."""
        given, options = chats_of(chat), self._with(options)
        if not isinstance(given, Chat):
            raise UserError("streams the reply to one chat at a time")
        if options["num_beams"] > 1:
            raise UserError("a beam search knows its reply at the end only; stream with num_beams=1")
        adapted = self.one(adaptation)
        pieces = self.parts.backbone.stream(
            self._prompt(adapted, given), max_new_tokens=options["max_new_tokens"], **_sampling(options)
        )
        return self._pieces(pieces, adapted)

    def _pieces(self, pieces: Iterator[str], adapted: Adapted) -> Iterator[str]:
        """Between two pieces the model is free for others."""
        while True:
            with self.parts.learner.using(adapted.weights):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def _answers(self, chats: Iterable[Chat], adaptation: Wanted, options: dict[str, Any]) -> Iterator[Answered]:
        writing = {"beams": options["num_beams"], "max_new_tokens": options["max_new_tokens"], **_sampling(options)}
        asked: list[Chat] = []

        def noted() -> Iterator[Chat]:
            for chat in chats:
                asked.append(chat)
                yield chat

        told = False
        found = self._in_batches(self._each_with_its_own(noted(), adaptation), options["batch_size"], writing)
        for number, reply in enumerate(found, 1):
            if reply.cut and not told:
                told = True
                warnings.warn(
                    f"chat {number} and its reply are longer than the {self.limit} pieces that the model reads; its oldest "
                    "messages are left out",
                    stacklevel=3,
                )
            yield answered(asked.pop(0), reply.text)

    def _with(self, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if name not in self.options:
                raise UserError(f"there is no option {name!r}; there are {', '.join(self.options)}")
        merged = self.options | options
        _check(merged)
        return merged

    def _text(self, item: Chat) -> str:
        return "\n".join(item.lines)

    def _prompt(self, adapted: Adapted, item: Chat) -> Prompt:
        prompt: Prompt = self.run.recipe.task.prompt_of(adapted.name, adapted.info, Example(self._text(item), ""))
        return prompt if item.system is None else replace(prompt, system=item.system)

    def _result(self, text: str, cut: bool) -> Reply:
        return Reply(text, cut)


def _check(options: Mapping[str, Any]) -> None:
    """UserError for options that are none, or do not go together."""
    at_least_one(**{name: options[name] for name in ("num_beams", "max_new_tokens", "batch_size")})
    if options["temperature"] <= 0 or not 0 < options["top_p"] <= 1:
        raise UserError(
            f"temperature is above 0 and top_p from above 0 to 1; got {options['temperature']!r} and {options['top_p']!r}"
        )
    if options["do_sample"] and options["num_beams"] > 1:
        raise UserError("do_sample draws one reply, num_beams searches for the likeliest one; take either")


def _sampling(options: Mapping[str, Any]) -> dict[str, Any]:
    if not options["do_sample"]:
        return {}
    return {name: options[name] for name in ("temperature", "top_p", "seed")}
