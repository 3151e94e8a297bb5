"""Texts without the names, addresses and numbers of people."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

NAME = "[name]"
PATTERNS = {  # in this order: an address may stand in a link, a number in a mention
    "[link]": r"(?:https?://|www\.)\S+|(?<![\w@])(?:[\w-]+\.)+[a-z]{2,}/\S*",
    "[e-mail]": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    NAME: r"@\u2068[^\u2069]*\u2069|(?<!\w)@[\w.]*\w",
    "[number]": r"(?<!\w)\+?\(?\d(?:[\s().\-/]{0,2}\d){6,}(?!\w)",
}
SHORT = 3  # letters of a part of a name, below which it may as well be a word
WORDS = (  # parts of names that name nobody, as in The Boss or Uncle Bob; not those that are names as well, as Das
    "the and for from with van den our your her his not one all who mrs miss uncle aunt auntie mum mom dad grandma grandpa "
    "work home "
    "der die dem und von vom zum zur für mit aus bei ein eine herr frau onkel tante mama papa oma opa arbeit "
    "los las por para señor señora tío tía mamá papá abuela abuelo trabajo casa "
    "une pour avec chez monsieur madame oncle maman mamie papi travail maison "
    "com meu minha senhor senhora mãe pai avó avô trabalho "
    "gli dei della delle degli signor signora zio zia nonna nonno lavoro"
)


class Anonymous:
    """Replaces the names it is given, whole and in parts, and what looks like a link, address, mention or number.

    A name that is a word as well (Will, May) is replaced wherever it stands: better a word too few than a name too many. What
    names nobody, as in Tom from work, stands in `WORDS`: it is replaced with the whole alone.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.replaced: Counter[str] = Counter()
        found = {part for name in names for part in (name.strip(), *_parts(name)) if part}
        ordered = sorted(found, key=lambda name: (-len(name), name))  # the whole before its parts
        patterns = list(PATTERNS.items())
        if ordered:
            patterns.append((NAME, "|".join(map(_pattern, ordered))))
        self._patterns = [(mark, re.compile(pattern, re.IGNORECASE)) for mark, pattern in patterns]

    def __call__(self, text: str) -> str:
        for mark, pattern in self._patterns:
            text, count = pattern.subn(mark, text)
            self.replaced[mark] += count
        return text


def _parts(name: str) -> list[str]:
    parts = [part for part in re.findall(r"[^\W\d_]+", name) if part.lower() not in WORDS.split()]
    return [part for part in parts if len(part) >= SHORT or not _has_case(part)]


def _pattern(name: str) -> str:
    """Names of scripts with capitals are whole words; others have no blanks between words: 田中さん."""
    return rf"(?<!\w){re.escape(name)}(?!\w)" if _has_case(name) else re.escape(name)


def _has_case(name: str) -> bool:
    return name.lower() != name.upper()
