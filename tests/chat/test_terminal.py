"""`metanlp chat` as people use it: in a second process line by line, and once in a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "metanlp", "chat"]


def chat(run: Path, *typed: str, code: int = 0, **options: str) -> list[str]:
    flags = [each for name, value in options.items() for each in (f"--{name}", value)]
    command = [*COMMAND, str(run), "--max-new-tokens", "8", "--device", "cpu", *flags]
    done = subprocess.run(command, input="\n".join(typed), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.splitlines() if code == 0 else done.stderr.splitlines()


def test_a_script_teaches_asks_and_forgets(talker: Path, tmp_path: Path) -> None:
    """A second script finds what the first one taught; a third one finds nobody after forgetting."""
    people = str(tmp_path / "people")
    lines = tmp_path / "lines.txt"
    lines.write_text("hello => aaaaaa\ndogs => aaaaaa\n")
    told = chat(
        talker, "hello", "/reset", f"/teach {lines}", "/both hello", "/quit", "hello", person="Anna", people=people
    )
    assert told[0] == "Anna is new: /teach LINE teaches a line of theirs, /help tells the rest"
    plain = told[1].removeprefix("Anna: ")
    assert told[2] == "the conversation begins anew; it had 2 messages"
    assert re.fullmatch(r"Anna has learnt 2 lines in \d+\.\d s, and answers with that from now on", told[3])
    assert told[4] == f"not adapted: {plain}"
    adapted = told[5].removeprefix("Anna: ")
    assert adapted != plain
    assert len(told) == 6

    again = chat(talker, "/person anna", "hello", "/who", f"/export {tmp_path / 'out'}", "/forget", people=people)
    assert again[1:3] == ["Anna was taught 2 lines", f"Anna: {adapted}"]
    assert again[3].startswith("* Anna: 2 lines, of which 2 learnt in 3 steps")
    assert (tmp_path / "out" / "adapter_config.json").is_file()
    assert again[5].startswith("forgot Anna: deleted 2 lines, an adapter of")
    gone = chat(talker, "/who", "/person Anna", "hello", people=people)
    assert gone[1:] == [
        "there is nobody yet: /person NAME",
        "Anna is new: /teach LINE teaches a line of theirs, /help tells the rest",
        f"Anna: {plain}",
    ]


def test_lines_typed_one_after_another_until_an_empty_one(talker: Path, tmp_path: Path) -> None:
    told = chat(talker, "/teach", "hello => aa", "bb", "", "/who", person="Anna", people=str(tmp_path))
    assert told[1] == "type lines of Anna, as they would say them; an empty line ends"
    assert told[-1].startswith("* Anna: 2 lines, of which 2 learnt")


def test_a_file_that_is_not_there_is_no_line(talker: Path, tmp_path: Path) -> None:
    told = chat(talker, "/person Anna", "/teach anna.jsonl", "/teach ANNA.TXT", "/who", people=str(tmp_path))
    assert told[2:4] == ["anna.jsonl: No such file or directory", "ANNA.TXT: No such file or directory"]
    assert told[4] == "* Anna: 0 lines"


def test_mistakes_are_told_and_the_chat_goes_on(talker: Path, tmp_path: Path) -> None:
    told = chat(talker, "hello", "/techa x", "/export", "/person ", "/who", people=str(tmp_path))
    assert told[1] == "choose a person first: /person NAME"
    assert "did you mean '/teach'?" in told[2]
    assert told[3:] == [
        "say where: /export FOLDER",
        "'' is no name; it is of 1 to 80 characters that can be seen",
        "there is nobody yet: /person NAME",
    ]


def test_a_run_that_is_none_is_the_users_mistake(tmp_path: Path) -> None:
    assert "is not a run" in chat(tmp_path, code=2)[-1]


def test_in_a_terminal_the_chat_goes_on_while_learning(talker: Path, tmp_path: Path) -> None:
    pytest.importorskip("prompt_toolkit")
    main, side = pty.openpty()
    command = [*COMMAND, str(talker), "--person", "Anna", "--people", str(tmp_path), "--max-new-tokens", "8"]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30", "PROMPT_TOOLKIT_NO_CPR": "1"}
    process = subprocess.Popen([*command, "--device", "cpu"], stdin=side, stdout=side, stderr=side, env=env)
    os.close(side)
    seen = ""

    def until(wanted: str, typed: bytes = b"") -> None:
        """Read on until that has been seen, typing `typed` every second; what comes after it is kept for the next one."""
        nonlocal seen
        end, last = time.monotonic() + 100, 0.0
        while wanted not in plain(seen):
            assert time.monotonic() < end, plain(seen)
            if select.select([main], [], [], 1)[0]:
                seen += os.read(main, 65536).decode(errors="replace")
            if typed and time.monotonic() - last > 1:
                os.write(main, typed)
                last = time.monotonic()
        seen = plain(seen).partition(wanted)[2]

    try:
        until("you to Anna>")
        os.write(main, b"/teach hello => aaaaaa\r")
        until("go on talking")
        until("you to Anna>")
        until("Anna has learnt 1 line", typed=b"\r")
        os.write(main, b"hello\r")
        until("Anna: ")
        until("you to Anna>")
        os.write(main, b"/both hello\r")
        until("not adapted")
        until("you to Anna>")
        os.write(main, b"/quit\r")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)


def plain(text: str) -> str:
    """Without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
