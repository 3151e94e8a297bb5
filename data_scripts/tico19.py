"""TICO-19: 3,071 sentences about COVID-19 in 36 languages, with English; each language is a task.

Source: https://tico-19.github.io (Anastasopoulos et al. 2020), its dev and test files joined. Licence: CC0.

Every language has the same sentences, so they are split as well: 80% are in training tasks and are what a
held-out language shows as support, 10% are asked only of validation and 10% only of test languages.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from data_scripts import _common as common
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError

HOME = "https://tico-19.github.io/data/tico19-testset.zip"
TEST = ("am", "ckb", "din", "km", "kr", "lg", "ln", "my", "so")
VALID = ("ha", "ne", "om", "tl")
BROKEN = {"nus": "a broken font encoding"}


def plain(cell: str) -> str:
    """A cell's text: without the quotes that a spreadsheet put around it, and with & for &amp;."""
    inner = cell[1:-1].replace('""', "")
    if cell.startswith('"') and cell.endswith('"') and '""' in cell[1:-1] and '"' not in inner:
        cell = cell[1:-1].replace('""', '"')
    return common.clean(html.unescape(cell))


def read_home(given: Path | None) -> Iterator[tuple[str, str, str, str]]:
    """Language, sentence number, English and the other text, out of the project's zip (or a copy of it)."""
    with sources.open_zip(given, HOME) as archive:
        members = {Path(name).name: name for name in archive.namelist() if "__MACOSX" not in name}
        codes = sorted(name[8:-4] for name in members if Path(name).match("test.en-*.tsv"))
        if not codes:
            raise UserError(f"{given or HOME} has no test.en-xx.tsv; {sources.instead(HOME)}")
        for code in codes:
            number = 0
            for part in ("dev", "test"):
                name = f"{part}.en-{code}.tsv"
                text = archive.read(members[name]).decode("utf-8-sig") if name in members else ""
                header, *lines = [line.rstrip("\r").split("\t") for line in text.rstrip("\n").split("\n")]
                if not {"sourceString", "targetString"} <= set(header):
                    raise UserError(f"{given or HOME}: {name} has no columns sourceString and targetString")
                for cells in lines:
                    if len(cells) != len(header):
                        raise UserError(f"{name}: {len(cells)} columns, not {len(header)}, in {cells}")
                    row = dict(zip(header, cells, strict=True))
                    yield code, str(number), row["sourceString"], row["targetString"]
                    number += 1


def read(given: Path | None) -> Iterator[tuple[str, ...]]:
    """Language, sentence number, English and the other text: from home, from a zip of it, or from a copy."""
    if given is None or given.suffix == ".zip":
        return read_home(given)
    columns = ("lang", "id", "English", "other")
    return map(tuple, sources.read_rows(sources.local_copy(given, "tico19"), columns))


def build(given: Path | None, direction: common.Direction, seed: int) -> common.Collection:
    """Every language's task; nothing is written yet."""
    collection = common.Collection(
        family="translation",
        licence="CC0-1.0",
        terms="https://creativecommons.org/publicdomain/zero/1.0/",
        source="https://tico-19.github.io: TICO-19, dev and test",
        attribution="TICO-19, the Translation Initiative for COVID-19 (Anastasopoulos et al. 2020)",
        made_by=f"python data_scripts/tico19.py --out data/tico19 --direction {direction.value} --seed {seed}",
    )
    englishes: dict[str, str] = {}  # sentence number -> how the first language has it in English
    differing: common.Counter[str] = common.Counter()  # language -> sentences whose English has other words
    for code, number, *cells in read(given):
        english, other = map(plain, cells)
        if code in BROKEN:
            collection.dropped[f"rows, task {code}: {BROKEN[code]}"] += 1
            continue
        gist = common.gist(englishes.setdefault(number, english))
        differing[code] += gist != common.gist(english)
        split = "test" if code in TEST else "valid" if code in VALID else "train"
        rows = collection.tasks[split].setdefault(code, [])
        pool = common.pool_in(split, common.part_of(seed, gist))
        if not english or not other:
            collection.dropped["pairs with an empty side"] += 1
        elif pool is None:
            collection.dropped[common.ELSEWHERE] += 1
        else:
            rows.append(direction.row(english, other, number, pool))
    if shifted := sorted(code for code, count in differing.items() if count > 0.05 * len(englishes)):
        raise UserError(f"{', '.join(shifted)}: the English sentences are not those of the other languages")
    for _, code, rows in collection.all_tasks():
        collection.info[code] = direction.info(code, "en")
        rows[:] = common.shuffled(rows, seed, code)
    collection.drop_copies("source" if direction is common.Direction.TO_ENGLISH else "target")
    collection.drop_leaks()
    return collection


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/tico19.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="Instead of a download: its zip, or tico19.tsv.gz or its folder."),
    ] = None,
    direction: Annotated[common.Direction, typer.Option(help="Which side is the source.")] = (
        common.Direction.TO_ENGLISH
    ),
    seed: Annotated[int, typer.Option(help="Decides which sentences are asked of held-out languages.")] = 0,
) -> None:
    """Write TICO-19, 36 languages paired with English, as a task collection (a download)."""
    output.check_out(out)
    output.finish(build(given, direction, seed), out)


if __name__ == "__main__":
    output.run(main)
