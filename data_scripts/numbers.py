"""Number names: "4711" -> its words in 77 languages; each language is a task, exact match an honest score.

Source: the pip package unicode-rbnf (MIT, Michael Hansen), which speaks the number rules of the Unicode CLDR
(Unicode Licence v3).

Every language gets the same numbers, so they are split as well: 70% are in training tasks and are what a
held-out language shows as support, 15% are asked only of validation and 15% only of test languages.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from pathlib import Path
from typing import Annotated

import typer

from data_scripts import _common as common
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError

TEST = ("ak", "kl", "ee", "qu", "se", "zu", "cy", "hu", "fo", "tr", "eo", "id")
VALID = ("sw", "vi", "ga", "hy", "lv", "ca", "mt", "ka")
HELD_OUT = 0.15  # of the numbers, for validation; as many for test
INVISIBLE = {ord(char): None for char in "\u00ad\u200b\u2060"}  # where a line may break; no one types them


def choose_numbers(per_task: int, seed: int) -> dict[str, list[int]]:
    """The numbers of each part (train, valid, test): all below 100, then one of 3 digits to two of 4."""
    three = min(900, (per_task - 100) // 3)
    parts: dict[str, list[int]] = {split: [] for split in common.SPLITS}
    for numbers, count in (
        (range(100), 100),
        (range(100, 1000), three),
        (range(1000, 10_000), per_task - 100 - three),
    ):
        chosen = common.shuffled(numbers, seed, "numbers")[:count]
        end = round(HELD_OUT * count)
        parts["valid"] += chosen[:end]
        parts["test"] += chosen[end : 2 * end]
        parts["train"] += chosen[2 * end :]
    return parts


def spell(language: str, numbers: list[int]) -> list[str]:
    """The words of every number, without invisible characters (soft hyphens, zero-width blanks)."""
    from unicode_rbnf import RbnfEngine

    engine = RbnfEngine.for_language(language)
    return [common.clean(engine.format_number(number).text.translate(INVISIBLE)) for number in numbers]


def locales(collection: common.Collection) -> list[str]:
    """The base languages of the package; regional variants and second scripts are dropped."""
    from unicode_rbnf import RbnfEngine

    found = sorted(RbnfEngine.get_supported_languages())
    variants = [locale for locale in found if "_" in locale]
    collection.dropped[f"locales, variants of a base language: {', '.join(variants)}"] = len(variants)
    if missing := sorted({*TEST, *VALID} - set(found)):
        raise UserError(f"this unicode-rbnf has no rules for {', '.join(missing)}; run: pip install -U unicode-rbnf")
    return [locale for locale in found if "_" not in locale]


def build(per_task: int, seed: int, training_languages: int | None = None) -> common.Collection:
    """Every language's task, or so many of those for training, fewer being among more; nothing is written yet."""
    from importlib.metadata import distribution

    from rich.console import Console
    from rich.progress import track

    version = sources.installed_version("unicode-rbnf", "demo")
    folder, fewer = "data/numbers", ""
    if training_languages is not None:
        folder, fewer = f"{folder}_{training_languages}", f" --training-languages {training_languages}"
    collection = common.Collection(
        family="translation",
        licence="MIT",
        terms=sources.licence_of("unicode-rbnf", Path(str(distribution("unicode-rbnf").locate_file(""))))[1],
        source=f"https://github.com/rhasspy/unicode-rbnf {version}: number names by the Unicode CLDR",
        attribution="unicode-rbnf by Michael Hansen (MIT); rules from the Unicode CLDR (Unicode Licence v3)",
        made_by=f"python data_scripts/numbers.py --out {folder} --per-task {per_task} --seed {seed}{fewer}",
    )
    parts = choose_numbers(per_task, seed)
    for language in track(locales(collection), "spelling", console=Console(stderr=True), transient=True):
        split = "test" if language in TEST else "valid" if language in VALID else "train"
        rows: list[common.Row] = []
        for part, numbers in parts.items():
            if (pool := common.pool_in(split, part)) is not None:
                words = spell(language, numbers)
                rows += [common.Row(str(n), w, str(n), pool) for n, w in zip(numbers, words, strict=True)]
        collection.tasks[split][language] = common.shuffled(rows, seed, language)
        name = common.language_name(language)
        collection.info[language] = {
            "source_language": "digits",
            "target_language": language,
            "language": name,
        }
        if any(char.isdigit() for row in rows for char in row.target):
            collection.remove(language, "its words contain digits")
    collection.drop_copies("target")
    ordered = common.shuffled(sorted(collection.tasks["train"]), seed, "languages")
    for language in ordered[training_languages or len(ordered) :]:
        collection.remove(language, f"beyond {training_languages} training languages")
    return collection


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/numbers.")],
    per_task: Annotated[
        int, typer.Option(min=120, max=10_000, help="How many numbers: 0 to 99, and longer ones up to 9,999.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Decides which numbers, and which of them are held out.")] = 0,
    training_languages: Annotated[
        int | None, typer.Option(min=1, help="How many languages to train on, at most; all by default.")
    ] = None,
) -> None:
    """Write the number names of some 77 languages as a task collection: seconds, no network.

    Needs: pip install 'metanlp[demo]'.
    """
    output.check_out(out)
    output.finish(build(per_task, seed, training_languages), out)


if __name__ == "__main__":
    output.run(main)
