"""SIB-200: the topic (of 7) of the same 1,004 sentences in 205 languages; each language is a task.

Source: https://huggingface.co/datasets/Davlan/sib200 (Adelani et al. 2024), text from FLORES-200.
Licence: CC BY-SA 4.0.

SIB-200's own split keeps sentences apart: its train rows are in training tasks and are what a held-out
language shows as support; its dev rows are asked only of validation and its test rows only of test languages.
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

HOME = "Davlan/sib200"
TEST = (
    *("ace", "ayr", "bod", "cjk", "ckb", "dik", "fij", "fon", "grn", "kab", "kac", "kbp"),
    *("lus", "mni", "nqo", "nus", "quy", "sat", "shn", "tir", "tum", "tzm", "uig", "wol"),
)  # a language is held out in all its scripts
VALID = ("dzo", "eus", "hau", "kas", "khm", "lao", "mlt", "smo", "snd", "sun", "tgk", "yor")
PARTS = {"train": "train", "dev": "valid", "validation": "valid", "test": "test"}  # theirs -> ours


def read_home() -> Iterator[list[str]]:
    """Language, part, sentence number, topic and text, out of the Hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = Path(snapshot_download(HOME, repo_type="dataset", allow_patterns="data/*/*.tsv"))
    except (OSError, HfHubHTTPError, ValueError) as error:  # offline, unknown host, gone
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{HOME} cannot be had from the Hub ({reason}); {sources.instead('it')}") from None
    return read_folder(folder)


def read_folder(folder: Path) -> Iterator[list[str]]:
    """Language, part, sentence number, topic and text, out of a copy of the repository on the Hub."""
    files = sorted(path for path in folder.glob("data/*/*.tsv") if path.stem in PARTS)
    if not files:
        raise UserError(f"{folder} has no data/<language>/train.tsv; {sources.instead(HOME)}")
    for path in files:
        rows = sources.read_rows(path, ("index_id", "category", "text"))
        if next(rows) != ["index_id", "category", "text"]:
            raise UserError(f"{path}: the first line is not index_id, category, text")
        yield from ([path.parent.name, path.stem, *row] for row in rows)


def read(given: Path | None) -> Iterator[list[str]]:
    """Language, part, sentence number, topic and text: from the Hub, its repository, or a copy."""
    if given is None:
        return read_home()
    if (given / "data").is_dir():
        return read_folder(given)
    columns = ("lang", "split", "id", "topic", "text")
    return sources.read_rows(sources.local_copy(given, "sib200"), columns)


def build(given: Path | None, seed: int) -> common.Collection:
    """Every language's task; nothing is written yet."""
    collection = common.Collection(
        family="classification",
        licence="CC BY-SA 4.0",
        terms="https://creativecommons.org/licenses/by-sa/4.0/\nChanged: blanks joined, repetitions out.",
        source="https://huggingface.co/datasets/Davlan/sib200: SIB-200, topics of FLORES-200 sentences",
        attribution="SIB-200 (Adelani et al. 2024), text of FLORES-200 (NLLB Team 2022), CC BY-SA 4.0",
        made_by=f"python data_scripts/sib200.py --out data/sib200 --seed {seed}",
        secret=("source", "id"),  # a topic is no secret
    )
    for code, theirs, number, topic, text in read(given):
        if theirs not in PARTS:
            raise UserError(f"{code}, sentence {number}: part {theirs!r} is none of {', '.join(PARTS)}")
        language = code.split("_")[0]
        split = "test" if language in TEST else "valid" if language in VALID else "train"
        rows, topic = collection.tasks[split].setdefault(code, []), common.clean(topic)
        pool = common.pool_in(split, PARTS[theirs])
        if not common.clean(text) or not topic:
            collection.dropped["rows without text or topic"] += 1
        elif pool is None:
            collection.dropped[common.ELSEWHERE] += 1
        else:
            rows.append(common.Row(common.clean(text), topic, number, pool))
    for _, code, rows in collection.all_tasks():
        collection.info[code] = {"text_language": code, "language": common.language_name(code)}
        once = {row.source: row for row in reversed(rows)}
        collection.dropped["rows that repeat a text of the same language"] += len(rows) - len(once)
        rows[:] = common.shuffled(once.values(), seed, code)
    collection.drop_copies("source")
    collection.drop_leaks()
    return collection


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/sib200.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="Instead of the Hub: its repository, or sib200.tsv.gz or its folder."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the order of the rows.")] = 0,
) -> None:
    """Write SIB-200, topics of sentences in 205 languages, as a task collection."""
    output.check_out(out)
    output.finish(build(given, seed), out)


if __name__ == "__main__":
    output.run(main)
