"""What a translation must not change: replaced by short masks while a model works, put back afterwards, and checked.

Placeholders (`%(count)s`, `{name}`), markup, entities, addresses and line ends become `[1]`, `[2]` and so on; those that
touch share one. White space around a text, and the accelerator of a menu entry (`&File`, `_File`), are taken off and put
back.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

MASK = re.compile(r"\[\d+\]")
KINDS = (
    MASK.pattern,  # where a text has by itself what looks like one of ours
    r"<!--.*?-->",
    r"</?[A-Za-z][^<>]*>",
    r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z]\w*);|&&",
    r"``[^`]+``|:[\w-]+(?::[\w-]+)*:`[^`]+`",  # reStructuredText
    r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?()]",
    r"[$%#]?\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}",
    r"%%|%\([^()\s]*\)[#0+-]*\d*(?:\.\d+)?[hlL]?[diouxXeEfFgGcrsa]",  # Python
    r"%(?:\d+\$)?[#0+'-]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|j|z|t|L|q)?[diouxXeEfFgGaAcspnr@]",  # C and its kin
    r"[^\S\r\n]*[\r\n]\s*|\t+",
)
ANY = "|".join(KINDS)
ONE = re.compile(ANY, re.S)
RUN = re.compile(rf"(?:{ANY})(?:\s*(?:{ANY}))*", re.S)
BY_POSITION = re.compile(r"%(?![%({]|\d+\$).*|\{(?:[:!].*)?\}", re.S)  # stands for the next value, whichever that is
TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)[^<>]*?(/?)>")
NEVER_CLOSED = ("br", "hr", "img", "input", "wbr")
ACCELERATOR = re.compile(r"(?<![^\W_])&(?=[^\W\d_])|(?<=[^\W\d_])&(?=[a-z])|(?<!\w)_(?=[^\W\d_])")
BESIDE = re.compile(r"\s*\([&_]\w\)")  # as in 文件(&F)
SINGLE = "%{}<>"  # a translation has as many of these as its source


class Lost(ValueError):
    """What became of a placeholder, in words."""


@dataclass(frozen=True)
class Masked:
    """`text` is for the model. `kept[i]` stood where `[i+1]` stands there, `before` and `after` around all of it."""

    text: str
    kept: tuple[str, ...]
    before: str
    after: str
    accelerator: tuple[str, str, int] | None  # its sign, the letter after it, how many such letters are before that one

    @property
    def has_words(self) -> bool:
        """Whether there is anything to translate."""
        return any(each.isalpha() for each in self.text)


def placeholders(text: str) -> list[str]:
    """All of them, one by one, in their order."""
    return [found[0] for found in ONE.finditer(text)]


def mask(text: str) -> Masked:
    """What a model is to read of `text`, and what was taken out of it. `unmask` of just that is `text` again."""
    inner = text.strip()
    before = text[: len(text) - len(text.lstrip())] if inner else text
    after = text[len(before) + len(inner) :]
    kept: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"[{len(kept)}]"

    masked = RUN.sub(numbered, inner)
    signs = list(ACCELERATOR.finditer(masked))
    if len(signs) != 1:
        return Masked(masked, tuple(kept), before, after, None)
    at, letter = signs[0].start(), masked[signs[0].end()]
    accelerator = signs[0][0], letter, masked[:at].count(letter)
    return Masked(masked[:at] + masked[at + 1 :], tuple(kept), before, after, accelerator)


def mask_both(source: str, target: str) -> tuple[str, str] | None:
    """A pair to learn from, both sides masked alike; None where the target does not keep what the source has."""
    masked, text = mask(source), target.strip()
    stand_ins = [chr(0xF0000 + number) for number in range(len(masked.kept))]  # private use: in no text
    for stand_in, kept in sorted(zip(stand_ins, masked.kept, strict=True), key=lambda pair: -len(pair[1])):
        text = text.replace(kept, stand_in, 1)
    if masked.accelerator:
        text = ACCELERATOR.sub("", BESIDE.sub("", text), count=1)
    for number, stand_in in enumerate(stand_ins, 1):
        text = text.replace(stand_in, f"[{number}]")
    try:
        unmask(masked, text)
    except Lost:
        return None
    return masked.text, text


def unmask(masked: Masked, translation: str) -> str:
    """The translation with everything in its place; raises Lost where something has no place, or a wrong one."""
    text = translation.strip()
    if not text and masked.text:
        raise Lost("the model wrote nothing")
    numbers = [int(found[1:-1]) for found in MASK.findall(text)]
    for number, kept in enumerate(masked.kept, 1):
        if numbers.count(number) != 1:
            raise Lost(f"{kept!r} is {'lost' if number not in numbers else 'there more than once'}")
    if len(numbers) > len(masked.kept):
        raise Lost("the model made up a placeholder")
    ordered = [each for each in numbers if any(map(BY_POSITION.fullmatch, placeholders(masked.kept[each - 1])))]
    if ordered != sorted(ordered):
        raise Lost("placeholders that are filled by position changed places")
    if masked.accelerator:
        text = _with_accelerator(text, *masked.accelerator)
    inner, source = _filled(text, masked.kept), _filled(masked.text, masked.kept)
    if Counter(placeholders(inner)) != Counter(placeholders(source)) or _singles(inner) != _singles(source):
        raise Lost("the model made up a placeholder or a part of one")
    if _nested(source) and not _nested(inner):
        raise Lost("tags are closed in another order than they are opened")
    return masked.before + inner + masked.after


def _filled(text: str, kept: tuple[str, ...]) -> str:
    return MASK.sub(lambda found: kept[int(found[0][1:-1]) - 1], text)


def _with_accelerator(text: str, sign: str, letter: str, number: int) -> str:
    """The sign before the same letter, or before the first letter of all."""
    same = [place for place, each in enumerate(text) if each == letter]
    alike = [place for place, each in enumerate(text) if each.lower() == letter.lower()]
    letters = [place for place, each in enumerate(text) if each.isalpha()]
    places = same[number:] or alike or letters
    if not places:
        raise Lost(f"there is no letter for the accelerator {sign}{letter}")
    return f"{text[: places[0]]}{sign}{text[places[0] :]}"


def _singles(text: str) -> list[int]:
    return [text.count(each) for each in SINGLE]


def _nested(text: str) -> bool:
    """Whether every tag is closed, the innermost first."""
    opened: list[str] = []
    for closing, name, alone in TAG.findall(text):
        if closing:
            if not opened or opened.pop() != name:
                return False
        elif not alone and name.lower() not in NEVER_CLOSED:
            opened.append(name)
    return not opened
