"""A few sentences to look at: which ones, and where an output differs from its reference."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from metanlp.results import Predicted, Results

ALIKE = 0.6  # words at least so alike are compared letter by letter
MARKS = ("Mn", "Mc", "Me", "Cf")  # what stands on a letter or ties letters together
VIRAMA = 9  # its combining class
ZERO_WIDTH_JOINER = "\u200d"


@dataclass(frozen=True)
class Piece:
    """A part of an output: `same` as in the reference, `other`, or "" where something is `missing`."""

    kind: str
    text: str


@dataclass(frozen=True)
class Output:
    stage: str
    text: str
    right: bool
    pieces: list[Piece]


@dataclass(frozen=True)
class Sample:
    task: str
    shots: int
    source: str
    reference: str
    outputs: list[Output]


def choose_samples(results: Results, number: int) -> list[Sample]:
    """Sentences at the largest number of shots, of tasks spread evenly over their names.

    In turns one that the last stage got right and one it got wrong: the first of its kind in the task,
    or of the other kind where the task has none.
    """
    written = [each for each in results.predicted if each.predictions]
    if not written:
        return []
    shots, seed = max(each.shots for each in written), written[0].seed
    chosen = [each for each in written if (each.shots, each.seed) == (shots, seed)]
    stages = list(dict.fromkeys(each.stage for each in chosen))
    found = {(each.task, each.stage): each for each in chosen}
    names = sorted({each.task for each in chosen if (each.task, stages[-1]) in found})
    tasks = [names[index * len(names) // number] for index in range(number)] if len(names) > number else names
    unused = {task: _right_and_wrong(found[task, stages[-1]]) for task in tasks}
    samples = []
    for turn in range(number):
        place, tour = turn % len(tasks), turn // len(tasks)
        task = tasks[place]
        wanted = (place + tour) % 2  # 0 right, 1 wrong; the next tour asks a task for the other kind
        kind = unused[task][wanted] or unused[task][1 - wanted]
        if kind:
            samples.append(_sample(found, task, stages, kind.pop(0)))
    return sorted(samples, key=lambda sample: sample.task)


def _right_and_wrong(predicted: Predicted) -> tuple[list[int], list[int]]:
    pairs = list(zip(predicted.predictions, predicted.references, strict=True))
    hits = [_same(*pair) for pair in pairs]
    return [at for at, hit in enumerate(hits) if hit], [at for at, hit in enumerate(hits) if not hit]


def _sample(found: dict[tuple[str, str], Predicted], task: str, stages: Sequence[str], index: int) -> Sample:
    last = found[task, stages[-1]]
    reference, outputs = clean(last.references[index]), []
    for stage in stages:
        if (task, stage) in found:
            text = clean(found[task, stage].predictions[index])
            outputs.append(Output(stage, text, _same(text, reference), differences(text, reference)))
    return Sample(task, last.shots, clean(last.sources[index]), reference, outputs)


def differences(text: str, reference: str) -> list[Piece]:
    """The pieces of `text`: whole words are compared, and words that are alike letter by letter."""
    pieces: list[Piece] = []
    for piece in _compared(_words(text), _words(reference)):
        around = [kept.kind for kept in [*pieces[-2:], piece]] == ["other", "same", "other"]
        if around and not any(letter.isalnum() for letter in pieces[-1].text):  # a space or a sign between two
            gap = pieces.pop().text
            piece = Piece("other", pieces.pop().text + gap + piece.text)
        if pieces and pieces[-1].kind == piece.kind != "missing":
            piece = Piece(piece.kind, pieces.pop().text + piece.text)
        pieces.append(piece)
    return pieces


def _compared(ours: list[str], theirs: list[str]) -> Iterator[Piece]:
    for operation, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if operation == "equal":
            yield Piece("same", "".join(ours[a:b]))
        elif operation == "insert":
            yield Piece("missing", "")
        elif operation == "replace" and b - a == d - c:
            for word, meant in zip(ours[a:b], theirs[c:d], strict=True):
                yield from _inside(word, meant)
        else:
            yield Piece("other", "".join(ours[a:b]))


def _inside(word: str, meant: str) -> Iterator[Piece]:
    ours, theirs = _letters(word), _letters(meant)
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if min(len(ours), len(theirs)) < 2 or matcher.ratio() < ALIKE:
        yield Piece("other", word)
        return
    for operation, a, b, _, _ in matcher.get_opcodes():
        yield Piece({"equal": "same", "insert": "missing"}.get(operation, "other"), "".join(ours[a:b]))


def _words(text: str) -> list[str]:
    """Words, and one by one the spaces, hyphens and signs between them, so that they join to the text."""
    tokens: list[str] = []
    inside = False
    for letter in text:
        in_word = letter.isalnum() or unicodedata.category(letter) in MARKS
        if inside and in_word:
            tokens[-1] += letter
        else:
            tokens.append(letter)
        inside = in_word
    return tokens


def _letters(text: str) -> list[str]:
    """Letters with the marks on them (accents, vowel signs) and what a joiner or virama ties to them."""
    tokens: list[str] = []
    for letter in text:
        before = tokens[-1][-1] if tokens else ""
        tied = bool(before) and (before == ZERO_WIDTH_JOINER or unicodedata.combining(before) == VIRAMA)
        if tied or (tokens and unicodedata.category(letter) in MARKS):
            tokens[-1] += letter
        else:
            tokens.append(letter)
    return tokens


def _same(text: str, reference: str) -> bool:
    return unicodedata.normalize("NFC", text).strip() == unicodedata.normalize("NFC", reference).strip()


def clean(text: str) -> str:
    """On one line, composed (NFC), without the control characters that a terminal would obey."""
    flat = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\n", " / ")
    return "".join("\ufffd" if unicodedata.category(letter) == "Cc" else letter for letter in flat)
