"""Dialogues: what a person replies, after what was said to them and by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from metanlp.config.recipe import TaskOptions
from metanlp.data.types import Example, Prompt
from metanlp.errors import UserError
from metanlp.registry import TASKS

if TYPE_CHECKING:
    from metanlp.data.collection import TaskCollection
    from metanlp.metrics import Score

PARTNER, PERSON = "> ", "< "  # marks of the speakers, where the model knows no chat: the same in every language


@TASKS.register("dialogue")
class Dialogue(TaskOptions):
    """A task is a person; its examples are their replies, each with the lines before it."""

    usage: ClassVar[
        str
    ] = """reply = metanlp.pipeline("dialogue", "RUN", adaptation="this folder, or its name on the Hub")
print(reply([{"role": "user", "content": "a text"}])[0]["generated_text"][-1]["content"])"""
    intended: ClassVar[
        str
    ] = """Replies in the manner of one person, who has agreed to it; whoever reads them is told so. It
knows that person's manner from the examples and makes up the facts: nothing it says is what they said or think."""
    next_step: ClassVar[str] = 'metanlp.pipeline("dialogue", "{run}", adaptation="{name}") in Python'

    collection: str = Field(description="folder of the task collection")
    made_by: str = Field("", description="the command that makes that folder, told where it is missing")
    max_characters: int = Field(2000, ge=1, description="replies with longer lines are rejected, and listed as such")
    max_turns: int = Field(6, ge=1, description="lines before a reply that the model reads, the latest")
    system: str = Field(
        "Reply to the last message of this conversation.", description="what a chat model reads before everything else"
    )
    persona: bool = Field(
        False, description="the person's own sentences (`persona` in collection.yaml) are read first as well"
    )

    def load(self) -> TaskCollection:
        """The task collection with its splits; UserError where the folder is missing or broken."""
        from pathlib import Path

        from metanlp.data.collection import TaskCollection

        return TaskCollection.open(
            Path(self.collection), family=self.kind, made_by=self.made_by, limit=self.max_characters
        )

    def prompt_of(self, task: str, info: Mapping[str, Any], example: Example) -> Prompt:
        """What the model reads and should write. UserError where persona sentences are asked for and there are none."""
        return self._prompt(task, info, example.source.split("\n")[-self.max_turns :], example.target)

    def prompt_shown(self, task: str, info: Mapping[str, Any], example: Example, shown: Sequence[Example]) -> Prompt:
        """The same after other replies of the person, each with the one line it answers, as if all were one dialogue."""
        earlier = [line for each in shown for line in (each.source.split("\n")[-1], each.target)]
        history = example.source.split("\n")[-self.max_turns :]
        if earlier and len(history) % 2 == 0:
            history = history[1:]  # speakers take turns, and the person spoke last
        return self._prompt(task, info, earlier + history, example.target)

    def score(self, metric: str, predictions: Sequence[str], references: Sequence[str]) -> Score:
        from metanlp.metrics import score

        return score(metric, predictions, references)

    def _prompt(self, task: str, info: Mapping[str, Any], turns: Sequence[str], reply: str) -> Prompt:
        persona = _persona_of(task, info) if self.persona else []
        marks = (PARTNER if place % 2 else PERSON for place in range(len(turns), 0, -1))
        marked = [mark + turn for mark, turn in zip(marks, turns, strict=True)]
        return Prompt(
            "\n".join([*persona, *marked]), reply, turns=tuple(turns), system="\n".join([self.system, *persona])
        )


def _persona_of(task: str, info: Mapping[str, Any]) -> list[str]:
    found = info.get("persona")
    if isinstance(found, list) and found and all(isinstance(sentence, str) for sentence in found):
        return found
    known = ", ".join(info) or "nothing"
    raise UserError(
        f"task.persona asks for sentences of {task!r}, a list of texts `persona`; known of it is {known}. "
        "Say them in collection.yaml (`tasks: {NAME: {persona: [...]}}`), or set task.persona to false"
    )
