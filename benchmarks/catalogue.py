"""How much of a real catalogue `metanlp translate --po` fills in rightly: half of it is hidden and asked for again.

    python benchmarks/catalogue.py runs/translation-catalogs_tiny_fomaml --stages joint meta \\
        --po wagtail/admin/locale/ug/LC_MESSAGES/django.po

Entries are hidden by a seed. "source" is what leaving the English would score, "zero-shot" the start without learning from
the other half. chrF is over all hidden texts, a plural form being one; an entry left empty counts as an empty translation.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import polib
from machine import keep

from metanlp.metrics import score
from metanlp.pipelines.catalogue import Catalogue, translate_catalogue
from metanlp.pipelines.translation import TranslationPipeline
from metanlp.run import Run

Texts = dict[tuple[str | None, str], list[str]]  # an entry's context and id -> its translation, or its plural forms


@dataclass(frozen=True)
class Row:
    catalogue: str
    system: str
    hidden: int
    filled: int
    with_placeholders: int
    survived: int
    chrf: float
    exact_match: float
    seconds: float
    signature: str


def located(name: str) -> Path:
    """A file, or a file inside an installed package."""
    package, _, inside = name.partition("/")
    spec = None if Path(name).is_file() else find_spec(package)
    return Path(spec.submodule_search_locations[0]) / inside if spec and spec.submodule_search_locations else Path(name)


def texts_of(entry: polib.POEntry) -> list[str]:
    return [text for _, text in sorted(entry.msgstr_plural.items())] if entry.msgid_plural else [entry.msgstr]


def hide(path: Path, share: float, seed: int, target: Path) -> tuple[Texts, Texts]:
    """Write the catalogue with some translations taken out; returns those, and the English in the place of each."""
    file = polib.pofile(str(path))
    known = [entry for entry in file if entry.translated()]
    hidden: Texts = {}
    english: Texts = {}
    for entry in random.Random(seed).sample(known, round(share * len(known))):
        key = entry.msgctxt, entry.msgid
        hidden[key] = texts_of(entry)
        english[key] = [entry.msgid, *[entry.msgid_plural] * (len(hidden[key]) - 1)][: len(hidden[key])]
        entry.msgstr, entry.msgstr_plural = "", dict.fromkeys(entry.msgstr_plural, "")
    file.save(str(target))
    return hidden, english


def row_of(name: str, system: str, hidden: Texts, found: Texts, counts: tuple[int, int, int], seconds: float) -> Row:
    references = [text for texts in hidden.values() for text in texts]
    predictions = [text for key in hidden for text in found[key]]
    chrf, exact = score("chrF", predictions, references), score("exact_match", predictions, references)
    return Row(name, system, len(hidden), *counts, chrf.value, exact.value, seconds, chrf.signature)


def measure(run: Run, label: str, path: Path, name: str, hidden: Texts, beams: int) -> list[Row]:
    """Zero-shot, then having learnt from the half that is left."""
    rows = []
    for system in ("zero-shot", "adapted"):
        catalogue = Catalogue(path)
        pipeline = TranslationPipeline(run, num_beams=beams, info=catalogue.info)
        began = time.perf_counter()
        done = translate_catalogue(pipeline, catalogue, adapted=system == "zero-shot", show=True)
        seconds = time.perf_counter() - began
        filled = {(entry.msgctxt, entry.msgid): texts_of(entry) for entry in catalogue.file.entries}
        counts = len(done.entries), done.with_placeholders, done.survived
        rows.append(row_of(name, f"{system} {label}", hidden, filled, counts, seconds))
        if system == "adapted":
            for left in done.left[:5]:
                print(f"left empty, for example: {left.reason}: {left.text}", file=sys.stderr)
    return rows


def table(rows: list[Row]) -> str:
    lines = [
        "| catalogue | | chrF | exact match | filled | placeholders survived | seconds |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.catalogue} | {row.system} | {row.chrf:.1f} | {row.exact_match:.1f}% | {row.filled} of {row.hidden} "
            f"| {row.survived} of {row.with_placeholders} | {row.seconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", help="a run whose training tasks do not have the catalogue's language")
    parser.add_argument("--stages", nargs="+", help="stages to measure  [default: the run's result]")
    parser.add_argument("--po", nargs="+", required=True, help=".po files, or files inside installed packages")
    parser.add_argument("--hide", type=float, default=0.5, help="share of the translated entries")
    parser.add_argument("--seed", type=int, default=0, help="which entries are hidden")
    parser.add_argument("--beams", type=int, default=4, help="width of the beam search")
    parser.add_argument("--json", type=Path, help="write the numbers there as well")
    options = parser.parse_args()
    run, rows = Run.open(options.run), []
    for name in options.po:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "hidden.po"
            hidden, english = hide(located(name), options.hide, options.seed, path)
            gaps = Catalogue(path).gaps
            marked = len({gap.entry for gap in gaps if gap.masked.kept})
            rows.append(row_of(name, "source", hidden, english, (len(hidden), marked, marked), 0.0))
            for stage in options.stages or [run.stage]:
                rows += measure(run.at(stage), stage, path, name, hidden, options.beams)
    print(table(rows))
    print(rows[0].signature)
    if options.json:
        keep(options.json, {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
