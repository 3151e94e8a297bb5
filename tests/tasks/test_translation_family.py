from __future__ import annotations

from metanlp.data.types import Example
from metanlp.tasks.translation import Translation

INFO = {"source_language": "eng_Latn", "target_language": "zul_Latn", "language": "Zulu"}


def test_shown_examples_stand_before_the_one_asked_for() -> None:
    family = Translation(collection="birds", prompt="to {language}: {source}")
    shown = [Example("one", "kunye"), Example("two", "kubili")]
    prompt = family.prompt_shown("zu", INFO, Example("three", "kuthathu"), shown)
    assert prompt.input == "to Zulu: one\nkunye\n\nto Zulu: two\nkubili\n\nto Zulu: three"
    assert prompt.turns == ("to Zulu: one", "kunye", "to Zulu: two", "kubili", "to Zulu: three")
    assert (prompt.output, prompt.source_language, prompt.target_language) == ("kuthathu", "eng_Latn", "zul_Latn")


def test_with_nothing_shown_it_reads_the_same() -> None:
    family = Translation(collection="birds")
    asked = Example("three", "kuthathu")
    prompt = family.prompt_shown("zu", INFO, asked, [])
    assert (prompt.input, prompt.turns) == (family.prompt_of("zu", INFO, asked).input, ("three",))
