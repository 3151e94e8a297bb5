"""Chit-chat of 1,315 real people in English; each person with enough to say is a task.

Source: the pip package chitchat-dataset (MIT, William Myers and the Perception, Control & Cognition lab of Brigham
Young University), the conversations of its Chit-Chat Challenge of 2018: 7,168 of them, 258,145 messages.

People are split, and with them their conversations: one that a test person takes part in is in no other split, and one of
a validation person in no training task. So the people who talked most stay in training, where their conversations are
worth the most, and those held out are drawn from the others with more than 10 dialogues: 10 to learn from, and one.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from data_scripts import _dialogues as dialogues
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError

PACKAGE, VERSION = "chitchat-dataset", "0.9.0"
HELD_OUT = {"test": 50, "valid": 20}  # people
FROM, TO = dialogues.MANY + 1, 40  # how many dialogues someone has who may be held out


def read(root: Path) -> list[dialogues.Conversation]:
    """The conversations in which anybody answers, in order of time."""
    path = root / "chitchat_dataset" / "dataset.json"
    if not path.is_file():
        raise UserError(f"--from {root}: there is no {path}")
    raw = sources.read_json(path)
    found = []
    for name, conversation in raw.items():
        messages = [message for messages in conversation["messages"] for message in messages]
        said = [(message["sender"], message["text"]) for message in messages]
        found.append((min((message["timestamp"] for message in messages), default=""), name, said))
    return [dialogues.Conversation(name, said) for _, name, said in sorted(found)]


def build(root: Path, messages: int, least: int, history: int, seed: int) -> dialogues.People:
    """Every person's task; nothing is written yet. `root`: the folder that the package's own folder lies in."""
    version, terms = sources.licence_of(PACKAGE, root)
    people = dialogues.People(
        family="dialogue",
        licence="MIT",
        terms=terms,
        source=f"https://github.com/BYU-PCCL/chitchat-dataset {version}: conversations of the Chit-Chat Challenge, 2018",
        attribution="The Chit-Chat Challenge of the BYU Perception, Control & Cognition lab; chitchat-dataset by William Myers",
        made_by="python data_scripts/chitchat.py --out data/chitchat"
        f" --messages {messages} --least {least} --history {history} --seed {seed}",
    )
    conversations = read(root)
    said: Counter[str] = Counter(speaker for conversation in conversations for speaker, _ in conversation.messages)
    talks = Counter(
        {person: count for person, count in dialogues.talks_of(conversations).items() if said[person] >= messages}
    )
    people.dropped[f"people with fewer than {messages} messages, or who answered nobody"] = len(said) - len(talks)
    fit = [person for person, count in talks.items() if FROM <= count <= TO]
    splits = dict.fromkeys(talks, "train") | dialogues.hold_out(fit, HELD_OUT, seed)
    persons = {person: dialogues.Person(split, person.split("-")[0], {}) for person, split in splits.items()}
    people.add_all(conversations, persons, history)
    people.drop_small(least)
    return people


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/chitchat.")],
    given: Annotated[
        Path | None,
        typer.Option(
            "--from", help="The folder that chitchat_dataset lies in (an unpacked wheel); pip is not asked then."
        ),
    ] = None,
    messages: Annotated[int, typer.Option(min=1, help="Leave out people who wrote fewer messages.")] = 30,
    least: Annotated[int, typer.Option(min=1, help="Leave out people with fewer dialogues.")] = 2,
    history: Annotated[int, typer.Option(min=1, help="How many lines before a reply to keep.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides which people are held out.")] = 0,
) -> None:
    """Write the chit-chat of real people as a task collection: a person is a task, a reply an example.

    Reads the installed package chitchat-dataset; where it is not installed pip downloads it (8 MB), and it is deleted again.
    """
    output.check_out(out)
    with ExitStack() as stack:
        root = given or sources.package_root(PACKAGE, VERSION, stack)
        output.finish(build(root, messages, least, history, seed), out)


if __name__ == "__main__":
    output.run(main)
