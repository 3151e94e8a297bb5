"""What a tokenizer does to a language, counted: nothing but texts, numbers, and two functions that encode and decode."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

MANY_UNKNOWN, MANY_LOST = 0.001, 0.001  # shares of pieces and of characters that are worth a word
CRUMBS = 1.5  # times as many pieces a word as the language that it is compared with
MANY_A_WORD = 3.5  # pieces, where it is compared with none
MANY_DECOMPOSED = 0.1  # share of the texts
SPACELESS = 15  # characters a word: a script that puts no spaces between words
SHOWN = 5  # characters named


@dataclass(frozen=True)
class Coverage:
    """Sums over some texts. `lost` are characters that do not come back from the pieces, not even in another form;
    `altered` are those that come back in another form; `decomposed` counts texts that NFC would change."""

    texts: int = 0
    words: int = 0
    characters: int = 0
    pieces: int = 0
    unknown: int = 0
    decomposed: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    altered: Counter[str] = field(default_factory=Counter)

    @property
    def pieces_a_word(self) -> float:
        return self.pieces / max(1, self.words)

    @property
    def characters_a_piece(self) -> float:
        return self.characters / max(1, self.pieces)

    @property
    def unknown_share(self) -> float:
        return self.unknown / max(1, self.pieces)

    @property
    def lost_share(self) -> float:
        return self.lost.total() / max(1, self.characters)

    @property
    def decomposed_share(self) -> float:
        return self.decomposed / max(1, self.texts)

    @property
    def spaceless(self) -> bool:
        return self.characters > SPACELESS * self.words

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def coverage_of(
    texts: Iterable[str], encode: Callable[[str], list[int]], decode: Callable[[list[int]], str], unknown: int | None
) -> Coverage:
    """Encode every text and decode it again. White space is not counted: tokenizers fold it."""
    total = Coverage()
    for text in texts:
        ids = encode(text)
        back = decode(ids)
        here = _characters(text)
        gone = here - _characters(back)
        parts = _characters(_apart(text)) - _characters(_apart(back))
        lost = Counter({each: times for each, times in gone.items() if parts.keys() & set(_apart(each))})
        total += Coverage(
            texts=1,
            words=len(text.split()),
            characters=here.total(),
            pieces=len(ids),
            unknown=0 if unknown is None else ids.count(unknown),
            decomposed=int(not unicodedata.is_normalized("NFC", text)),
            lost=lost,
            altered=gone - lost,
        )
    return total


def crumbs(found: Coverage, like: Coverage | None) -> bool:
    """Whether words fall into far more pieces than those of `like`, or than words should."""
    if found.spaceless:
        return found.characters_a_piece < 1.2
    return found.pieces_a_word > (MANY_A_WORD if like is None else CRUMBS * like.pieces_a_word)


def described(found: Coverage, like: Coverage | None = None, name: str = "the other") -> Iterator[str]:
    """A few lines of facts."""
    beside = "" if like is None else f" ({name}: {like.pieces_a_word:.1f})"
    yield f"{found.pieces_a_word:.1f} pieces a word{beside}, {found.characters_a_piece:.1f} characters a piece"
    yield f"{found.unknown_share:.2%} of the pieces are unknown to the tokenizer"
    if found.lost:
        yield f"lost on the way to pieces and back: {named(found.lost)}"
    if found.altered:
        yield f"come back in another form, as NFC or NFKC have it: {named(found.altered)}"
    if found.decomposed:
        yield f"{found.decomposed:,} of {found.texts:,} texts are not in NFC: letters and marks are written apart"


def verdict(found: Coverage, like: Coverage | None, why_no_pieces: str | None, pieces: int, after: float | None) -> str:
    """One sentence, and what to do. `after` is how many pieces a word there would be with `pieces` new ones."""
    more = f"`task.new_pieces: {pieces}`"
    if found.unknown_share > MANY_UNKNOWN:
        way = f"{more} adds what is missing, or take ByT5" if why_no_pieces is None else "take ByT5, which knows all"
        return f"unreadable in part: {found.unknown_share:.1%} of the pieces are unknown, and no training mends that; {way}"
    if found.lost_share > MANY_LOST:
        return f"careful: the model neither sees nor writes {named(found.lost, 2)}; take ByT5 if they matter, or leave them out"
    if crumbs(found, like):
        if after is not None and after < 0.9 * found.pieces_a_word:
            return f"in crumbs: {more} would bring {found.pieces_a_word:.1f} -> {after:.1f} pieces a word"
        reason = f": {why_no_pieces}" if why_no_pieces else ""
        return f"long: {found.pieces_a_word:.1f} pieces a word, so give it time and a large backbone.max_length{reason}"
    if found.decomposed_share > MANY_DECOMPOSED:
        return "fine, but write letters and their marks as one character (NFC), as the model's own texts do"
    return "fine: the tokenizer reads this language as it does others"


def _apart(text: str) -> str:
    """Letters and marks one by one, ligatures and wide forms as the letters that they stand for."""
    return unicodedata.normalize("NFKD", text)


def _characters(text: str) -> Counter[str]:
    return Counter(character for character in text if not character.isspace())


def named(characters: Counter[str], count: int = SHOWN) -> str:
    """The most frequent ones by their Unicode names, as `3 x ZERO WIDTH JOINER (U+200D), ...`"""
    shown = [
        f"{times} x {_name(each)}" for each, times in sorted(characters.items(), key=lambda item: (-item[1], item[0]))
    ]
    rest = [f"and {len(shown) - count} other characters"] if len(shown) > count else []
    return ", ".join([*shown[:count], *rest])


def _name(character: str) -> str:
    visible = f"{character} " if character.isalnum() else ""
    return f"{visible}{unicodedata.name(character, 'character')} (U+{ord(character):04X})"
