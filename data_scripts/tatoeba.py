"""Tatoeba: everyday sentences of 112 languages with their English translations; each language is a task.

Source: the test sets of LASER (Artetxe and Schwenk 2019), up to 1,000 pairs a language.
Licence: CC BY 2.0 FR, attribute Tatoeba and its contributors.

A held-out language is asked only for English sentences that no training task has, whatever their case and
punctuation; a validation language for none that a test language has either. More than half of the sentences
occur in one language only, so training loses nothing by it.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from data_scripts import _common as common
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError

HOME = "https://github.com/facebookresearch/LASER/archive/refs/heads/main.zip"
TEST = (
    *("amh", "bre", "cha", "csb", "dsb", "hsb", "dtp", "kzj", "eus", "fao"),
    *("gla", "jav", "kat", "khm", "kur", "mal", "mhr", "tel", "uig", "xho"),
)
VALID = ("ang", "cym", "fry", "hye", "mon", "pam", "swh", "tam", "tuk", "war")
QUERY_SHARE = 0.3  # of a held-out language's sentences


def read_home(given: Path | None) -> Iterator[tuple[str, str, str]]:
    """Language, English and the other text, out of LASER's repository (or a local zip of it)."""
    with sources.open_zip(given, HOME) as archive:
        ends = {name.rpartition("/data/tatoeba/v1/tatoeba.")[2]: name for name in archive.namelist()}
        codes = sorted(end[:3] for end in ends if end[3:] == f"-eng.{end[:3]}")
        if not codes:
            raise UserError(f"{given or HOME} has no data/tatoeba/v1; {sources.instead(HOME)}")
        for code in codes:
            texts = (archive.read(ends[f"{code}-eng.{side}"]).decode("utf-8") for side in ("eng", code))
            english, other = (text.removesuffix("\n").split("\n") for text in texts)
            if len(english) != len(other):
                raise UserError(f"tatoeba.{code}-eng: {len(english)} lines in English, {len(other)} in {code}")
            yield from zip([code] * len(english), english, other, strict=True)


def read(given: Path | None) -> Iterator[tuple[str, ...]]:
    """Language, English and the other text: from home, from a zip of it, or from a copy."""
    if given is None or given.suffix == ".zip":
        return read_home(given)
    rows = sources.read_rows(sources.local_copy(given, "tatoeba112"), ("lang", "English", "other"))
    return map(tuple, rows)


def build(given: Path | None, direction: common.Direction, seed: int, flores: bool = False) -> common.Collection:
    """Every language's task; nothing is written yet."""
    collection = common.Collection(
        family="translation",
        licence="CC BY 2.0 FR",
        terms="https://creativecommons.org/licenses/by/2.0/fr/\nChanged: blanks joined, repetitions out.",
        source="https://github.com/facebookresearch/LASER data/tatoeba/v1: sentences of Tatoeba, 2018-11-17",
        attribution="Sentences by the contributors of Tatoeba (https://tatoeba.org), CC BY 2.0 FR",
        made_by="python data_scripts/tatoeba.py --out data/tatoeba"
        f" --direction {direction.value} --seed {seed}" + (" --flores" if flores else ""),
    )
    pairs: dict[str, dict[str, str]] = {}  # language -> English -> other
    for code, *texts in read(given):
        english, other = map(common.clean, texts)
        if flores and common.flores_code(code) is None:
            collection.dropped["pairs of languages that FLORES-200 lacks"] += 1
            continue
        if not english or not other:
            collection.dropped["pairs with an empty side"] += 1
        elif pairs.setdefault(code, {}).setdefault(english, other) != other:
            collection.dropped["further translations of a sentence"] += 1
    splits = {code: "test" if code in TEST else "valid" if code in VALID else "train" for code in pairs}
    said = {  # split -> the sentences of all its languages
        split: {common.gist(english) for code in pairs if splits[code] == split for english in pairs[code]}
        for split in common.SPLITS
    }
    not_asked = {"test": said["train"], "valid": said["train"] | said["test"], "train": said["train"]}
    for code, known in sorted(pairs.items()):
        split = splits[code]
        order = common.shuffled(known, seed, code)
        free = [english for english in order if common.gist(english) not in not_asked[split]]
        queries = set(free[: round(QUERY_SHARE * len(known))])
        names = (common.flores_code(code) or code, "eng_Latn") if flores else (code, "eng")
        collection.info[code] = direction.info(*names)
        collection.tasks[split][code] = rows = []
        for english in order:
            pool = "" if split == "train" else "query" if english in queries else "support"
            rows.append(direction.row(english, known[english], common.fingerprint(english), pool))
    collection.drop_leaks()
    return collection


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/tatoeba.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="Instead of a download: LASER's zip, or tatoeba112.tsv.gz or its folder."),
    ] = None,
    direction: Annotated[common.Direction, typer.Option(help="Which side is the source.")] = (
        common.Direction.TO_ENGLISH
    ),
    seed: Annotated[int, typer.Option(help="Decides which sentences are asked of a held-out language.")] = 0,
    flores: Annotated[
        bool, typer.Option(help="Name languages as NLLB does (zul_Latn); leave out those it does not know.")
    ] = False,
) -> None:
    """Write 112 languages of Tatoeba, paired with English, as a task collection (a download)."""
    output.check_out(out)
    output.finish(build(given, direction, seed, flores), out)


if __name__ == "__main__":
    output.run(main)
