"""XPersona: crowd workers playing a persona of some sentences, in up to seven languages; a persona is a task.

Source: https://github.com/HLTCHKUST/Xpersona (MIT; Lin et al., 2020), which carries ConvAI2's PersonaChat (Zhang et al.,
2018) into other languages. Of each language it has `valid` and `test`; the English `test` is ConvAI2's validation set.

`test` tests here, and `valid` trains, but for a tenth of its people, which is kept for validation. A person is everyone who
played the same sentences. Most personas were played once, and with one dialogue there is nothing to learn from and another
to be judged on: they are left out.
"""

from __future__ import annotations

import os
import sys

# As a script, look in the repository, not in this folder: its numbers.py would hide Python's own module.
if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from data_scripts import _common as common
from data_scripts import _dialogues as dialogues
from data_scripts import _output as output
from data_scripts import _sources as sources
from metanlp.errors import UserError, did_you_mean

HOME = "https://github.com/HLTCHKUST/Xpersona/archive/refs/heads/master.zip"
LANGUAGES = {
    "en": "English",
    "fr": "French",
    "id": "Indonesian",
    "it": "Italian",
    "jp": "Japanese",
    "ko": "Korean",
    "zh": "Chinese",
}
Played = tuple[
    str, str, list[str], list[list[str]]
]  # language, part, persona, pairs of what a partner and the person said


def read_home(given: Path | None) -> Iterator[Played]:
    """Out of the project's repository, or a zip of it."""
    with sources.open_zip(given, HOME) as archive:
        for name in sorted(archive.namelist()):
            language, _, rest = Path(name).name.lower().partition("_persona_")
            part = next((part for part in ("valid", "test") if part in rest.removeprefix("split_")), "")
            if rest.endswith(".json") and part and language in LANGUAGES:
                for raw in json.loads(archive.read(name)):
                    yield language, part, raw["persona"], raw["dialogue"]


def read_copy(given: Path) -> Iterator[Played]:
    for row in sources.read_objects(sources.local_copy(given, "xpersona7", "jsonl")):
        yield row["lang"], row["split"], row["persona"], row["turns"]


def build(given: Path | None, languages: Sequence[str], least: int, history: int, seed: int) -> dialogues.People:
    """Every persona's task; nothing is written yet."""
    for language in languages:
        if language not in LANGUAGES:
            raise UserError(
                f"--language {language}: there are {', '.join(LANGUAGES)}{did_you_mean(language, LANGUAGES)}"
            )
    people = dialogues.People(
        family="dialogue",
        licence="MIT",
        terms="https://github.com/HLTCHKUST/Xpersona/blob/master/LICENSE",
        source="https://github.com/HLTCHKUST/Xpersona: XPersona, dialogues of personas, after ConvAI2's PersonaChat",
        attribution="XPersona by Zhaojiang Lin et al. (2020); PersonaChat by Saizheng Zhang et al. (2018)",
        made_by="python data_scripts/xpersona.py --out data/xpersona "
        + "".join(f"--language {language} " for language in languages)
        + f"--least {least} --history {history} --seed {seed}",
    )
    played = read_home(given) if given is None or given.suffix == ".zip" else read_copy(given)
    by_persona: dict[tuple[str, str, str], list[dialogues.Conversation]] = defaultdict(list)
    sentences: dict[str, list[str]] = {}
    numbers: dict[tuple[str, str], int] = defaultdict(int)
    for language, part, persona, pairs in played:
        numbers[language, part] += 1
        if language in languages:
            known = [dialogues.as_line(sentence) for sentence in persona]
            name = f"{language}-{common.fingerprint(' '.join(sorted(known)))}"
            sentences.setdefault(name, known)
            said = [message for pair in pairs for message in zip(("partner", name), pair, strict=True)]
            talk = dialogues.Conversation(f"{language}-{part}-{numbers[language, part]}", said)
            by_persona[language, part, name].append(talk)
    tested = {name for _, part, name in by_persona if part == "test"}
    for key in [key for key in by_persona if key[1] == "valid" and key[2] in tested]:
        people.dropped["dialogues of a persona that is in test, too"] += len(by_persona.pop(key))
    for language in languages:
        enough = {key: talks for key, talks in by_persona.items() if key[0] == language and len(talks) >= least}
        trained = [name for _, part, name in enough if part == "valid"]
        valid = dialogues.hold_out(trained, {"valid": round(0.1 * len(trained))}, seed)
        for (_, part, name), talks in enough.items():
            split = "test" if part == "test" else valid.get(name, "train")
            info = {"language": LANGUAGES[language], "persona": sentences[name]}
            people.add_all(talks, {name: dialogues.Person(split, name, info)}, history)
    kept = sum(map(len, people.tasks.values()))
    people.dropped[f"personas with fewer than {least} dialogues"] = len(by_persona) - kept
    return people


def main(
    out: Annotated[Path, typer.Option(help="The folder to write, for example data/xpersona.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="A zip of the repository, or xpersona7.jsonl.gz, or the folder it is in."),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(help="en, fr, id, it, jp, ko or zh; may be given more than once.  [default: en]"),
    ] = None,
    least: Annotated[int, typer.Option(min=1, help="Leave out personas with fewer dialogues.")] = 2,
    history: Annotated[int, typer.Option(min=1, help="How many lines before a reply to keep.")] = 10,
    seed: Annotated[int, typer.Option(help="Decides which people are kept for validation.")] = 0,
) -> None:
    """Write XPersona as a task collection: everyone who played the same persona is a task, the sentences its `persona`.

    Downloads the repository unless --from names a copy.
    """
    output.check_out(out)
    output.finish(build(given, language or ["en"], least, history, seed), out)


if __name__ == "__main__":
    output.run(main)
