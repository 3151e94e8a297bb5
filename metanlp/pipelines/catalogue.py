"""A gettext catalogue (.po): learn from what is translated, fill in what is not, marked fuzzy, and touch nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from gettext import c2py
from pathlib import Path
from typing import Any

from metanlp.data.rows import excerpt
from metanlp.data.types import Example
from metanlp.errors import UserError
from metanlp.pipelines._placeholders import Lost, Masked, mask, mask_both, unmask
from metanlp.pipelines._po_file import PoFile
from metanlp.pipelines.translation import Translation, TranslationPipeline
from metanlp.progress import progress

PLURALS = re.compile(r"nplurals\s*=\s*\d+\s*;\s*plural\s*=\s*([^;]+)")
NUMBERS = range(200)  # enough to meet every plural form


@dataclass(frozen=True)
class Gap:
    """One text to translate: an untranslated entry, or one of its plural forms."""

    entry: int
    form: int | None
    masked: Masked


@dataclass(frozen=True)
class Left:
    """An entry that stays empty: where it begins, how its text begins, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class Filled:
    """What became of the untranslated entries. Each is in one of the two lists."""

    entries: list[int]
    left: list[Left]
    with_placeholders: int  # of all that were untranslated
    survived: int  # of those


class Catalogue:
    """`examples` are pairs to learn from, `gaps` what is to be translated."""

    def __init__(self, path: Path) -> None:
        self.file = PoFile(path)
        self.forms = _numbers_by_form(self.file)
        language = self.file.facts.get("Language")
        self.info = {"target_language": language} if language else {}
        self.examples = self._pairs()
        self.gaps = [gap for number in range(len(self.file.entries)) for gap in self._gaps(number)]

    def fill(self, translations: Sequence[Translation]) -> Filled:
        """Put the translations of `gaps` in: of an entry all plural forms, or none where one of them lost something."""
        texts: dict[int, dict[int | None, str]] = {}
        reasons: dict[int, str] = {}
        for gap, translation in zip(self.gaps, translations, strict=True):
            try:
                texts.setdefault(gap.entry, {})[gap.form] = self._whole(gap.masked, translation)
            except Lost as error:
                reasons.setdefault(gap.entry, str(error))
        good = [number for number in texts if number not in reasons]
        for number in good:
            self.file.fill_in(number, texts[number])
        entries = self.file.entries
        left = [Left(entries[at].linenum, excerpt(entries[at].msgid), why) for at, why in sorted(reasons.items())]
        marked = {gap.entry for gap in self.gaps if gap.masked.kept}
        return Filled(good, left, len(marked), len(marked & set(good)))

    def _whole(self, masked: Masked, translation: Translation) -> str:
        if translation.cut:
            raise Lost("it is longer than the model reads")
        text = unmask(masked, translation.text if masked.has_words else masked.text)
        try:
            text.encode(self.file.encoding)
        except UnicodeEncodeError:
            raise Lost(f"its translation cannot be written in {self.file.encoding}") from None
        return text

    def _pairs(self) -> list[Example]:
        pairs: dict[tuple[str, str], None] = {}
        for entry in self.file.entries:
            for form, target in _forms_of(entry) if entry.translated() else ():
                source = self._source(entry, form)
                pair = mask_both(source, target) if mask(source).has_words else None
                if pair is not None:
                    pairs.setdefault(pair)
        return [Example(source, target) for source, target in pairs]

    def _gaps(self, number: int) -> list[Gap]:
        entry = self.file.entries[number]
        forms = _forms_of(entry)
        if entry.obsolete or entry.fuzzy or any(text for _, text in forms):
            return []
        return [Gap(number, form, mask(self._source(entry, form))) for form, _ in forms]

    def _source(self, entry: Any, form: int | None) -> str:
        """What a form says in the original: the singular where the form is of the number one alone, else the plural."""
        singular = form is None or self.forms.get(form, [1] if form == 0 else []) == [1]
        return str(entry.msgid if singular else entry.msgid_plural)


def translate_catalogue(
    pipeline: TranslationPipeline, catalogue: Catalogue, *, adapted: bool = False, show: bool = False
) -> Filled:
    """Translate and fill the gaps; before that learn from what is translated, unless the pipeline is `adapted` already.

    UserError where nothing is there to learn from.
    """
    path = catalogue.file.path
    if not adapted:
        if not catalogue.examples:
            raise UserError(
                f"{path} has no translated entry to learn from; give --adaptation, or translate some by hand"
            )
        pipeline.learn(path.stem, catalogue.examples, catalogue.info, show=show)
    with progress(f"translating {path.name}", len(catalogue.gaps), show=show) as advance:
        found = []
        for translation in pipeline.stream(gap.masked.text for gap in catalogue.gaps):
            found.append(translation)
            advance(1, "")
    return catalogue.fill(found)


def _forms_of(entry: Any) -> list[tuple[int | None, str]]:
    return sorted(entry.msgstr_plural.items()) if entry.msgid_plural else [(None, entry.msgstr)]


def _numbers_by_form(file: PoFile) -> Mapping[int, list[int]]:
    """Which numbers take which plural form; nothing where the header does not say. UserError where it says nonsense."""
    said = file.facts.get("Plural-Forms", "")
    found = PLURALS.search(said)
    if not found or "EXPRESSION" in said:
        return {}
    try:
        form_of = c2py(found[1].strip())
        forms: dict[int, list[int]] = {}
        for number in NUMBERS:
            forms.setdefault(form_of(number), []).append(number)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"{file.path}: Plural-Forms of its header is no formula: {error}") from None
    return forms
