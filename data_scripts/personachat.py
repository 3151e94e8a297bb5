"""PersonaChat as ConvAI2 used it: crowd workers playing a persona of some sentences, in English; a persona is a task.

Source: https://huggingface.co/datasets/AlekseyKorshuk/persona-chat (PersonaChat by Zhang et al., 2018, as ConvAI2 lower-cased
and split it). Its validation set tests here, and its training set trains, but for a tenth of its people, which is kept for
validation. A person is everyone who played the same sentences.

Every dialogue is there once from each of its two sides. It belongs to the more held-out one of its two personas.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from data_scripts import _common as common
from data_scripts import _dialogues as dialogues
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError

HUB = "AlekseyKorshuk/persona-chat"
PARTS = {"train": "train", "validation": "test"}  # part of the source -> split
KEY = 4  # lines that tell a dialogue: its two sides end at different ones


def read(given: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Part and row: `personality`, and `utterances` with a `history` and `candidates`, whose last one was said."""
    import datasets

    try:
        if given:
            files = {part: [str(path) for path in sorted(given.rglob(f"{part}-*.parquet"))] for part in PARTS}
            if not all(files.values()):
                raise UserError(f"--from {given}: there is no train-*.parquet and no validation-*.parquet in it")
            loaded = datasets.load_dataset("parquet", data_files=files)
        else:
            loaded = datasets.load_dataset(HUB)
    except (OSError, ConnectionError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"{HUB} cannot be downloaded ({error}); {sources.instead('it')}") from None
    for part in PARTS:
        for row in loaded[part]:
            yield part, row


def conversations_of(rows: Iterable[dict[str, Any]]) -> tuple[list[dialogues.Conversation], dict[str, list[str]]]:
    """The dialogues of both sides, once each, and the sentences of every persona by its name."""
    sides: dict[
        str, dict[int, str]
    ] = {}  # dialogue -> whose turn comes first (0) or second (1), as far as they are known
    lines: dict[str, list[str]] = {}
    personas: dict[str, list[str]] = {}
    for row in rows:
        last = row["utterances"][-1]
        said = [dialogues.as_line(line) for line in (*last["history"], last["candidates"][-1])]
        opens = not said[0]
        said = said[1:] if opens else said
        persona = [dialogues.as_line(sentence) for sentence in row["personality"]]
        name = common.fingerprint(" ".join(sorted(persona)))
        personas.setdefault(name, persona)
        key = common.fingerprint("\n".join(said[:KEY]))
        sides.setdefault(key, {})[0 if opens else 1] = name
        lines[key] = max(lines.get(key, []), said, key=len)
    found = []
    for key, said in lines.items():
        speakers = [sides[key].get(side, f"partner {side}") for side in (0, 1)]
        found.append(dialogues.Conversation(key, [(speakers[place % 2], line) for place, line in enumerate(said)]))
    return found, personas


def build(given: Path | None, least: int, history: int, seed: int) -> dialogues.People:
    """Every persona's task; nothing is written yet."""
    people = dialogues.People(
        family="dialogue",
        licence="not named on the Hub",
        terms=f"https://huggingface.co/datasets/{HUB}; the data's home is https://parl.ai (ParlAI is under the MIT licence).",
        source=f"https://huggingface.co/datasets/{HUB}: PersonaChat as in ConvAI2",
        attribution="PersonaChat by Saizheng Zhang, Emily Dinan, Jack Urbanek, Arthur Szlam, Douwe Kiela and Jason Weston (2018)",
        made_by=f"python data_scripts/personachat.py --out data/personachat --least {least} --history {history} --seed {seed}",
    )
    by_part: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    for part, row in read(given):
        by_part[part].append({"personality": row["personality"], "utterances": row["utterances"][-1:]})
    persons: dict[str, dialogues.Person] = {}
    everything = []
    for part, split in PARTS.items():
        conversations, personas = conversations_of(by_part[part])
        everything += conversations
        valid = dialogues.hold_out(personas, {"valid": round(0.1 * len(personas))}, seed) if split == "train" else {}
        for name, sentences in personas.items():
            info = {"language": "English", "persona": sentences}
            persons[name] = dialogues.Person(valid.get(name, split), name, info)
    people.add_all(everything, persons, history)
    people.drop_small(least)
    return people


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/personachat.")],
    given: Annotated[
        Path | None, typer.Option("--from", help="A download of that repository, with its .parquet files.")
    ] = None,
    least: Annotated[int, typer.Option(min=1, help="Leave out personas with fewer dialogues.")] = 2,
    history: Annotated[int, typer.Option(min=1, help="How many lines before a reply to keep.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides which people are kept for validation.")] = 0,
) -> None:
    """Write PersonaChat as a task collection: everyone who played the same persona is a task, the sentences its `persona`.

    Downloads 100 MB from the Hugging Face Hub unless --from names a copy.
    """
    output.check_out(out)
    output.finish(build(given, least, history, seed), out)


if __name__ == "__main__":
    output.run(main)
