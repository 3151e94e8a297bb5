"""What people type or drop to teach the model a person -> examples."""

from __future__ import annotations

import re
from pathlib import Path

from metanlp.data.readers import read_file
from metanlp.data.row_forms import DialogueRows
from metanlp.data.rows import LIMIT, Rejected
from metanlp.data.types import Example
from metanlp.errors import Problems, UserError

NOTHING_SAID = "..."  # what a line answers that is given without what came before it: the same in every language
ANSWERS = re.compile(r"\t|(?:^|\s)=>\s")  # stands between what is said to the person and what they answer
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def lines_of_text(text: str) -> list[Example]:
    """A person's lines, one on each line of `text`: `their answer`, or `what is said to them => their answer`.

    A tab does for the arrow. Of a line alone nothing is known of what it answers: `NOTHING_SAID` stands for that. UserError
    where there is none, or one is too long.
    """
    found, problems = [], Problems("these lines")
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        said, answer = _parts(line.removeprefix("\N{BYTE ORDER MARK}"))
        if max(len(said), len(answer)) > LIMIT:
            problems.add(f"line {number} has more than {LIMIT:,} characters")
        elif bool(answer) < bool(said):
            problems.add(f"line {number} says nothing after what it should answer: {said[:60]!r}")
        elif answer:
            found.append(Example(said or NOTHING_SAID, answer))
    problems.raise_if_any()
    if not found:
        raise UserError(
            "there is no line to learn; type what the person would say, or: what they hear => what they say"
        )
    return list(dict.fromkeys(found))


def lines_of_file(path: Path) -> tuple[list[Example], list[Rejected]]:
    """A person's lines from a .jsonl file of dialogues, or a .txt file as in `lines_of_text`; and the rows that are none.

    UserError where the file cannot be read or has no line in it.
    """
    if path.suffix.lower() == ".jsonl":
        examples, rejected = read_file(path, LIMIT, DialogueRows)
        if not examples:
            why = f": line {rejected[0].line}: {rejected[0].reason}" if rejected else ""
            raise UserError(f"{path} has no line to learn{why}")
        return examples, rejected
    if path.suffix.lower() != ".txt":
        raise UserError(
            f"{path}: lines are read from .txt files, one a line, and from .jsonl files of dialogues, which data_scripts make "
            "of what WhatsApp, Telegram and Discord export"
        )
    try:
        return lines_of_text(path.read_text(encoding="utf-8")), []
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def one_line(text: str) -> str:
    """A message as a line of a dialogue: line ends and other control characters become spaces."""
    return _CONTROL.sub(" ", text).strip()


def _parts(line: str) -> tuple[str, str]:
    """What is said, "" where the line does not tell, and what is answered."""
    first, *rest = ANSWERS.split(f"{line} ", maxsplit=1)
    return (one_line(first), one_line(rest[0])) if rest else ("", one_line(first))
