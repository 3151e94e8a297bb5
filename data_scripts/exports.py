"""Your own chats: exports of WhatsApp, Telegram and Discord become the file of one person.

Reads WhatsApp's text export (Android, iPhone), Telegram Desktop's JSON, and DiscordChatExporter's JSON and plain text. What
the person wrote becomes their replies, what others wrote the lines before them; nothing else is kept. Names, mentions,
addresses, numbers and links are replaced. Ask the people you chat with before you do anything with it: their words are in
it, and what a name does not tell, a sentence may.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from data_scripts import _common as common
from data_scripts import _dialogues as dialogues
from data_scripts import _output as output
from data_scripts import _sources as sources
from data_scripts._anonymous import Anonymous
from data_scripts._discord import RULE, is_discord, read_discord, read_discord_text
from data_scripts._messages import Chat, Message
from data_scripts._telegram import is_telegram, read_telegram
from data_scripts._whatsapp import is_whatsapp, read_whatsapp
from metanlp.errors import UserError, did_you_mean

KNOWN = "WhatsApp's text (.txt), Telegram's JSON, or DiscordChatExporter's JSON or plain text (.txt)"
ME, OTHER = "me", "other"  # who speaks in a dialogue, whatever they are called in the exports


def read(path: Path, dropped: Counter[str]) -> list[Chat]:
    """The chats of one export, whichever messenger it is of."""
    try:
        if path.suffix == ".json":
            raw = sources.read_json(path)
            if is_discord(raw):
                return [read_discord(raw, dropped)]
            if is_telegram(raw):
                return read_telegram(raw, dropped)
        elif path.suffix == ".txt":
            text = _text_of(path)
            if text.startswith(RULE):
                return [read_discord_text(text, dropped)]
            if is_whatsapp(text):
                return [read_whatsapp(text, dropped)]
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path}: another form than such an export has ({type(error).__name__}: {error})") from None
    unzip = "; unpack it first" if path.suffix == ".zip" else ""
    raise UserError(f"{path}: no export that is known: {KNOWN}{unzip}")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 at byte {error.start}") from None


def cut(messages: Sequence[Message], silence: timedelta) -> Iterator[list[Message]]:
    """The conversations: a new one begins after nobody wrote for longer than `silence`."""
    talk: list[Message] = []
    for message in messages:
        if talk and message.time - talk[-1].time > silence:
            yield talk
            talk = []
        talk.append(message)
    if talk:
        yield talk


def build(
    paths: Sequence[Path], person: Sequence[str], also: Sequence[str], hours: float, history: int, dropped: Counter[str]
) -> tuple[list[dialogues.Reply], Anonymous]:
    """The person's replies in order of time, and what was replaced in them."""
    chats = [chat for path in paths for chat in read(path, dropped)]
    wrote = Counter(message.speaker for chat in chats for message in chat.messages)
    for name in person:
        if name not in wrote:
            found = ", ".join(f"{speaker} ({count:,})" for speaker, count in wrote.most_common(20))
            raise UserError(f"--person {name}: nobody of that name wrote{did_you_mean(name, wrote)}; who did: {found}")
    hide = Anonymous({*wrote, *also, *(name for chat in chats for name in chat.names)})
    talks = [talk for chat in chats for talk in cut(chat.messages, timedelta(hours=hours))]
    replies: list[dialogues.Reply] = []
    for talk in sorted(talks, key=lambda talk: talk[0].time):
        said = [(ME if message.speaker in person else OTHER, hide(message.text)) for message in talk]
        key = common.fingerprint(f"{talk[0].time}|{talk[0].text}")
        replies += dict.fromkeys(dialogues.replies_of(dialogues.Conversation(key, said), ME, history))
    return replies, hide


def main(
    given: Annotated[list[Path], typer.Option("--from", help="An export; may be given more than once.")],
    person: Annotated[
        list[str],
        typer.Option(help="Whose replies are kept, named as in the export; all their names, if there are several."),
    ],
    out: Annotated[Path, typer.Option(help="The file to write, for example data/ann.jsonl.")],
    also: Annotated[
        list[str] | None, typer.Option(help="Another name to replace, as of somebody you talk about; may be repeated.")
    ] = None,
    silence: Annotated[
        float, typer.Option(min=0, help="Hours without a message after which a new dialogue begins.")
    ] = 8,
    history: Annotated[int, typer.Option(min=1, help="How many lines before a reply to keep.")] = 10,
) -> None:
    """Write one person's replies out of exports of WhatsApp, Telegram and Discord, without names: no network, seconds.

    The file is for `metanlp adapt RUN ann.jsonl --name ann`, or for the folder of a task collection.
    """
    if out.suffix != ".jsonl" or out.is_dir():
        raise UserError(f"--out {out}: it is one file; call it NAME.jsonl")
    dropped: Counter[str] = Counter()
    replies, hide = build(given, person, also or [], silence, history, dropped)
    if not replies:
        raise UserError(f"{' and '.join(person)} replied to nobody: there is nothing to learn from")
    output.write_file(out, dialogues.as_jsonl(replies))
    talks = len({reply.dialogue for reply in replies})
    print(f"wrote {out}: {len(replies):,} replies in {talks:,} dialogues")
    for what, count in (
        *dropped.items(),
        *((f"times {mark} for what was there", n) for mark, n in hide.replaced.items()),
    ):
        if count:
            print(f"  {count:,} {what}")


if __name__ == "__main__":
    output.run(main)
