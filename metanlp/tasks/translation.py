"""Translation, and whatever else turns one text into another (number names, transliteration, normalisation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import Formatter
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from metanlp.config.languages import Additions, NewLanguage
from metanlp.config.recipe import TaskOptions
from metanlp.data.types import Example, Prompt
from metanlp.errors import UserError
from metanlp.registry import TASKS

if TYPE_CHECKING:
    from metanlp.data.collection import TaskCollection
    from metanlp.metrics import Score


@TASKS.register("translation")
class Translation(TaskOptions):
    """A task is a language pair; its examples are sentence pairs."""

    pipeline_tag: ClassVar[str] = "translation"
    usage: ClassVar[
        str
    ] = """translate = metanlp.pipeline("translation", "RUN", adaptation="this folder, or its name on the Hub")
print(translate("a text")[0]["translation_text"])"""
    intended: ClassVar[
        str
    ] = """First drafts of texts like the examples, which a speaker of the language then reads. Few examples
teach few words: what they do not show is often wrong, and fluent all the same."""
    next_step: ClassVar[str] = "echo ... | metanlp translate {run} --adaptation {name}"

    collection: str = Field(description="folder of the task collection")
    made_by: str = Field("", description="the command that makes that folder, told where it is missing")
    max_characters: int = Field(2000, ge=1, description="longer texts are rejected, and listed as such")
    prompt: str = Field(
        "{source}", description="what the model reads: {source}, and anything the collection says of a task in braces"
    )
    new_languages: dict[str, NewLanguage] = Field(
        {}, description="codes of languages that the model has none for, as {tyv_Cyrl: {like: kaz_Cyrl}}"
    )
    new_pieces: int = Field(0, ge=0, description="pieces that the tokenizer gets besides, learnt from new_pieces_from")
    new_pieces_from: str | None = Field(None, description="a text file in the new language, one sentence a line")

    @field_validator("prompt")
    @classmethod
    def _has_source(cls, prompt: str) -> str:
        if "{source}" not in prompt:
            raise ValueError("the prompt must have {source} in it")
        return prompt

    @field_validator("new_languages", mode="before")
    @classmethod
    def _say_like(cls, languages: Any) -> Any:
        for code, options in languages.items() if isinstance(languages, dict) else ():
            if isinstance(options, str):
                raise ValueError(f"{code} is {options!r}; write {{{code}: {{like: {options}}}}}")
        return languages

    @model_validator(mode="after")
    def _pieces_have_a_text(self) -> Translation:
        if bool(self.new_pieces) != bool(self.new_pieces_from):
            raise ValueError(
                "new_pieces and new_pieces_from go together: how many pieces, and the text they are learnt from"
            )
        return self

    def additions(self) -> Additions:
        languages = {code: language.like for code, language in self.new_languages.items()}
        return Additions(languages, self.new_pieces, self.new_pieces_from or "")

    def load(self) -> TaskCollection:
        """The task collection with its splits; UserError where the folder is missing or broken."""
        from pathlib import Path

        from metanlp.data.collection import TaskCollection

        return TaskCollection.open(
            Path(self.collection), family=self.kind, made_by=self.made_by, limit=self.max_characters
        )

    def prompt_of(self, task: str, info: Mapping[str, Any], example: Example) -> Prompt:
        """What the model reads and should write. UserError where the prompt asks for what nothing is known of."""
        known = {**info, "source": example.source}
        for _, name, _, _ in Formatter().parse(self.prompt):
            if name and name not in known:
                raise UserError(
                    f"task.prompt asks for {{{name}}}, but of task {task!r} only {', '.join(known)} are known"
                )
        languages = (info.get(key) for key in ("source_language", "target_language"))
        source_language, target_language = (None if code is None else str(code) for code in languages)
        return Prompt(self.prompt.format(**known), example.target, source_language, target_language)

    def prompt_shown(self, task: str, info: Mapping[str, Any], example: Example, shown: Sequence[Example]) -> Prompt:
        """The same after other examples of the task with their answers: in one text, and turn by turn for a chat model."""
        asked = self.prompt_of(task, info, example)
        earlier = [self.prompt_of(task, info, each) for each in shown]
        text = "\n".join([*(f"{each.input}\n{each.output}\n" for each in earlier), asked.input])
        turns = [turn for each in earlier for turn in (each.input, each.output)]
        return replace(asked, input=text, turns=(*turns, asked.input))

    def score(self, metric: str, predictions: Sequence[str], references: Sequence[str]) -> Score:
        from metanlp.metrics import score

        return score(metric, predictions, references)
