"""RealPersonaChat: 233 real people chatting in Japanese, each with ten sentences about themselves; a person is a task.

Source: https://github.com/nu-dialogue/real-persona-chat (CC BY-SA 4.0; Yamashita et al., 2023). Its authors ask that nobody
try to find out who the speakers are, nor pose as one of them: measure with these people, but give no chatbot to others that
speaks as one of them.

People are split, and with them their dialogues: one that a test person takes part in is in no other split, and one of a
validation person in no training task.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from data_scripts import _dialogues as dialogues
from data_scripts import _output as output
from data_scripts import _sources as sources

HOME = "https://github.com/nu-dialogue/real-persona-chat/archive/refs/heads/main.zip"
HELD_OUT = {"test": 40, "valid": 15}  # people
TERMS = """https://creativecommons.org/licenses/by-sa/4.0/

The authors ask: do not try to identify the speakers, and do not use the corpus to pose as one of them."""
Source = tuple[list[dialogues.Conversation], dict[str, list[str]]]  # and every person's sentences


def read_home(given: Path | None) -> Source:
    """Out of the project's repository, or a zip of it."""
    conversations, personas = [], {}
    with sources.open_zip(given, HOME) as archive:
        for name in sorted(archive.namelist()):
            if Path(name).suffix == ".json" and Path(name).parent.name == "dialogues":
                raw = json.loads(archive.read(name))
                said = [(each["interlocutor_id"], each["text"]) for each in raw["utterances"]]
                conversations.append(dialogues.Conversation(str(raw["dialogue_id"]), said))
            elif Path(name).name == "interlocutors.json":
                personas = {user: about["persona"] for user, about in json.loads(archive.read(name)).items()}
    return conversations, personas


def read_copy(given: Path) -> Source:
    rows = sources.read_objects(sources.local_copy(given, "realpersonachat", "jsonl"))
    conversations = [
        dialogues.Conversation(str(row["id"]), [(who, text) for who, text in row["turns"]]) for row in rows
    ]
    users = sources.read_objects(sources.local_copy(given, "realpersonachat_users", "jsonl"))
    return conversations, {row["user"]: row["persona"] for row in users}


def build(given: Path | None, least: int, history: int, seed: int) -> dialogues.People:
    """Every person's task; nothing is written yet."""
    people = dialogues.People(
        family="dialogue",
        licence="CC BY-SA 4.0",
        terms=TERMS,
        source="https://github.com/nu-dialogue/real-persona-chat: RealPersonaChat, Japanese, 2022",
        attribution="RealPersonaChat by Sanae Yamashita, Koji Inoue, Ao Guo, Shota Mochizuki, Tatsuya Kawahara and Ryuichiro "
        "Higashinaka (PACLIC 2023)",
        made_by=f"python data_scripts/realpersonachat.py --out data/realpersonachat --least {least} --history {history}"
        f" --seed {seed}",
    )
    conversations, personas = read_home(given) if given is None or given.suffix == ".zip" else read_copy(given)
    conversations.sort(key=lambda conversation: int(conversation.id))  # numbered in order of time
    talks = dialogues.talks_of(conversations)
    fit = [person for person, count in talks.items() if count > dialogues.MANY]
    splits = dict.fromkeys(talks, "train") | dialogues.hold_out(fit, HELD_OUT, seed)

    def about(person: str) -> dict[str, Any]:
        return {"language": "Japanese", "persona": list(map(dialogues.as_line, personas.get(person, [])))}

    persons = {person: dialogues.Person(split, person, about(person)) for person, split in splits.items()}
    people.add_all(conversations, persons, history)
    people.drop_small(least)
    return people


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/realpersonachat.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="A zip of the repository, or the folder with the .jsonl.gz copies."),
    ] = None,
    least: Annotated[int, typer.Option(min=1, help="Leave out people with fewer dialogues.")] = 2,
    history: Annotated[int, typer.Option(min=1, help="How many lines before a reply to keep.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides which people are held out.")] = 0,
) -> None:
    """Write RealPersonaChat as a task collection: a person is a task, with their sentences as `persona`.

    Downloads the repository (50 MB or so) unless --from names a copy. Its authors ask that nobody pose as a speaker.
    """
    output.check_out(out)
    output.finish(build(given, least, history, seed), out)


if __name__ == "__main__":
    output.run(main)
