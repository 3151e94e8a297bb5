"""The Universal Declaration of Human Rights: 50 paragraphs in over 400 languages; each language is a task.

Source: the XML of the "UDHR in Unicode" project, now at https://github.com/eric-muller/udhr. Free to use.

Every language has the same paragraphs, so the articles are split as well: 20 are in training tasks and are
what a held-out language shows as support, 4 are asked only of validation and 6 only of test languages.
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
from xml.etree import ElementTree

import typer

from data_scripts import _common as common
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError

HOME = "https://github.com/eric-muller/udhr/archive/refs/heads/main.zip"
TEST = (
    *("aar", "ami", "arn", "ayr", "bam", "bis", "bod", "cak", "cha", "chr", "dag", "div", "ewe", "fao"),
    *("fij", "gla", "gug", "guc", "haw", "iii", "kal", "kha", "lus", "miq", "mri", "nav", "niu", "quy"),
    *("sag", "sme", "smo", "sna", "tet", "tiv", "uig", "wol", "yor", "zul", "shp", "vai"),
)
VALID = (
    *("abk", "bem", "bre", "cym", "dzo", "glv", "hsb", "ibo", "ilo", "kat"),
    *("kbd", "kek", "lin", "mah", "mos", "oss", "sah", "sun", "ton", "yua"),
)
WRONG = {"ckb": "the text is Kurmanji, as in kmr"}
PREFERRED = (
    *("azj_latn", "bos_latn", "deu_1996", "hau_NG", "mly_latn"),
    *("por_PT", "ron_2006", "tuk_latn", "uzn_latn"),
)  # of several documents in a language
QUERY_ARTICLES = {"valid": 4, "test": 6}  # of 30


def read_home(given: Path | None) -> Iterator[list[str]]:
    """Document, ISO code, paragraph, English and the other text, out of the project's XML (or a zip of it).

    A paragraph is named article.count.index, count being how many the article has: where a translation
    divides an article otherwise than the English does, its paragraphs have no partner and stay out.
    """
    with sources.open_zip(given, HOME) as archive:
        names = [name for name in archive.namelist() if Path(name).name.startswith("udhr_") and name.endswith(".xml")]
        documents = {Path(name).stem.removeprefix("udhr_"): name for name in sorted(names)}
        if "eng" not in documents:
            raise UserError(f"{given or HOME} has no udhr_eng.xml; {sources.instead(HOME)}")
        english = _paragraphs(ElementTree.fromstring(archive.read(documents["eng"])))
        for document, name in documents.items():
            try:
                root = ElementTree.fromstring(archive.read(name))
            except ElementTree.ParseError as error:
                raise UserError(f"{name}: not XML: {error}") from None
            for key, text in _paragraphs(root).items():
                if key in english and document != "eng":
                    yield [document, root.get("iso639-3", "und"), key, english[key], text]


def _paragraphs(root: ElementTree.Element) -> dict[str, str]:
    """`article.count.index` -> text, of every article (the preamble is divided too freely to be aligned)."""
    found: dict[str, str] = {}
    for article in root.iterfind(".//{*}article"):
        texts = [common.clean("".join(para.itertext())) for para in article.iterfind(".//{*}para")]
        for index, text in enumerate(texts):
            found[f"{article.get('number')}.{len(texts)}.{index}"] = text
    return found


def read(given: Path | None) -> Iterator[list[str]]:
    """Document, ISO code, paragraph, English and the other text: from home, a zip of it, or a copy."""
    if given is None or given.suffix == ".zip":
        return read_home(given)
    columns = ("document", "iso", "paragraph", "English", "other")
    return sources.read_rows(sources.local_copy(given, "udhr"), columns)


def best_document(iso: str, documents: list[str]) -> str:
    """The document that stands for a language: named like it, the usual spelling, a named one, the first."""
    return min(documents, key=lambda name: (name != iso, name not in PREFERRED, name[0].isdigit(), name))


def parts_of(articles: set[str], seed: int) -> dict[str, str]:
    """The part of every article."""
    order = common.shuffled(articles, seed, "articles")
    sizes = {part: round(count * len(order) / 30) for part, count in QUERY_ARTICLES.items()}
    parts = ["valid"] * sizes["valid"] + ["test"] * sizes["test"]
    return dict(zip(order, parts + ["train"] * (len(order) - len(parts)), strict=True))


def build(given: Path | None, direction: common.Direction, least: int, seed: int) -> common.Collection:
    """Every language's task; nothing is written yet."""
    collection = common.Collection(
        family="translation",
        licence="free to use",
        terms="(c) 1996-2009 The Office of the High Commissioner for Human Rights; the XML was prepared\n"
        "by the UDHR in Unicode project, https://www.unicode.org/udhr.",
        source="https://github.com/eric-muller/udhr: the Universal Declaration of Human Rights in XML",
        attribution="The Office of the High Commissioner for Human Rights; the UDHR in Unicode project",
        made_by="python data_scripts/udhr.py --out data/udhr"
        f" --direction {direction.value} --least {least} --seed {seed}",
    )
    languages: dict[str, dict[str, list[tuple[str, str, str]]]] = {}  # ISO -> document -> paragraphs
    for document, iso, *paragraph in read(given):
        key, english, other = paragraph[0], *map(common.clean, paragraph[1:])
        if iso == "und":
            collection.dropped["paragraphs in a language that no one has named (und)"] += 1
        elif document in WRONG:
            collection.dropped[f"paragraphs of {document}: {WRONG[document]}"] += 1
        elif not english or not other:
            collection.dropped["paragraphs with an empty side"] += 1
        else:
            languages.setdefault(iso, {}).setdefault(document, []).append((key, english, other))
    every = [key for documents in languages.values() for rows in documents.values() for key, *_ in rows]
    parts = parts_of({key.split(".")[0] for key in every}, seed)
    for iso, documents in sorted(languages.items()):
        chosen = best_document(iso, sorted(documents))
        others = [rows for name, rows in documents.items() if name != chosen]
        collection.dropped["paragraphs of further documents in a language"] += sum(map(len, others))
        split = "test" if iso in TEST else "valid" if iso in VALID else "train"
        rows = []
        for key, english, other in documents[chosen]:
            pool = common.pool_in(split, parts[key.split(".")[0]])
            if pool is None:
                collection.dropped[common.ELSEWHERE] += 1
            else:
                rows.append(direction.row(english, other, key, pool))
        collection.tasks[split][iso] = common.shuffled(rows, seed, iso)
        collection.info[iso] = direction.info(iso, "eng") | {"document": chosen}
    collection.drop_copies("source" if direction is common.Direction.TO_ENGLISH else "target")
    collection.drop_leaks()
    collection.drop_small(least)
    return collection


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/udhr.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="Instead of a download: a zip of the project, or udhr.tsv.gz or its folder."),
    ] = None,
    direction: Annotated[common.Direction, typer.Option(help="Which side is the source.")] = (
        common.Direction.TO_ENGLISH
    ),
    least: Annotated[int, typer.Option(min=1, help="Leave out languages with fewer paragraphs.")] = 20,
    seed: Annotated[int, typer.Option(help="Decides which articles are asked of held-out languages.")] = 0,
) -> None:
    """Write the Declaration of Human Rights, 400 languages paired with English, as a task collection."""
    output.check_out(out)
    output.finish(build(given, direction, least, seed), out)


if __name__ == "__main__":
    output.run(main)
