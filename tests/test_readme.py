"""What the README tells people to type works, word for word."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metanlp.cli import app
from metanlp.config.load import recipe_names

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def section(title: str) -> str:
    """From one heading of the README to the next of its level or a higher one."""
    text = text_of(ROOT / "README.md")
    start = text.index(f"\n{title}\n") + 1
    following = re.search(rf"^#{{2,{len(title.split()[0])}}} ", text[start + len(title) :], re.M)
    return text[start : start + len(title) + following.start()] if following else text[start:]


def commands() -> set[str]:
    return {str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback}


def mentioned(text: str) -> list[list[str]]:
    """Every `metanlp ...` in code, as words."""
    code = "\n".join([*blocks(text, "bash"), *re.findall(r"`([^`\n]+)`", text)])
    return [shlex.split(found) for found in re.findall(r"\bmetanlp ([a-z]+(?: [^\n|;>#`]*)?)", code)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_and_recipe_exists(path: Path) -> None:
    for words in mentioned(text_of(path)):
        assert words[0] in commands(), words
    names = re.findall(r"\b((?:demo|debug|translation)/[a-z0-9_]+)", text_of(path))
    for name in names:
        assert name in recipe_names() or (ROOT / "metanlp" / f"{name}.py").exists(), name


def test_the_table_has_every_command_once() -> None:
    rows = re.findall(r"^\| `metanlp (\w+)", section("## Commands"), re.M)
    assert sorted(rows) == sorted(commands())


def test_options_exist() -> None:
    from typer.main import get_command

    options = {name: {o for p in c.params for o in p.opts} for name, c in get_command(app).commands.items()}
    text = text_of(ROOT / "README.md")
    for words in mentioned(text):
        for word in words[1:]:
            if word.startswith("--") and words[0] in options:
                assert word in options[words[0]] | {"--help"}, words
    assert "--against" in options["evaluate"]


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.M))
    for path in PAGES:
        assert set(re.findall(r"^make ([a-z]+)", "\n".join(blocks(text_of(path), "bash")), re.M)) <= targets


def test_scripts_exist() -> None:
    for path in PAGES:
        for script in re.findall(r"python ((?:\w+/)+\w+\.py)", text_of(path)):
            assert (ROOT / script).is_file(), f"{path.name}: {script}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_compiles(path: Path) -> None:
    for number, code in enumerate(blocks(text_of(path), "python")):
        compile(code, f"{path.name}, block {number}", "exec")


def test_python_names_what_there_is() -> None:
    import metanlp

    (code,) = blocks(section("## From Python"), "python")
    for name in re.findall(r"\bmetanlp\.([a-z_]+)\(", code):
        assert name in metanlp.__all__
        assert callable(getattr(metanlp, name))


Terminal = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder that a terminal is in."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def terminal(tmp_path: Path, home: Path) -> Terminal:
    """Runs a block of the README in an empty folder, `metanlp` being `python -m metanlp` of this interpreter."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "metanlp"
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m metanlp "$@"\n')
    shim.chmod(0o755)
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
    }
    one_core = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_getaffinity") else None

    def run(block: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=(lambda: os.sched_setaffinity(0, one_core)) if one_core else None,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def test_your_own_language_in_five_minutes(terminal: Terminal, home: Path) -> None:
    """Both ways of the section, block by block; the run of the other stands for the demo's, which takes minutes."""
    with_the_demo = blocks(section("### With the model of the demo"), "bash")
    files, recipe, work, _ = blocks(section("### With tasks of your own"), "bash")
    began = time.monotonic()
    terminal(files)
    assert sorted(path.name for path in (home / "phrases").rglob("*.tsv")) == ["da.tsv", "de.tsv", "nl.tsv", "sv.tsv"]
    assert "jeg er træt\tI am tired\n" in (home / "phrases" / "test" / "da.tsv").read_text(encoding="utf-8")
    terminal(recipe)
    out = terminal(work).stdout
    assert "no problems found" in out
    assert "train      3 tasks,         15 examples" in out
    assert "trained runs/phrases" in out
    assert "chrF, mean over 1 test task of phrases" in out
    assert "adapted da from 8 examples in " in out
    translation = out.split("--adaptation da\n")[1]
    assert translation.count("\n") == 1
    assert (home / "runs/phrases/report/report.html").is_file()
    rows = json.loads((home / "runs/phrases/report/results.json").read_text(encoding="utf-8"))
    assert {row["task"] for row in rows} == {None, "da"}

    (home / "runs" / "demo-numbers").symlink_to("phrases")
    (block,) = with_the_demo
    out = terminal(block).stdout
    assert "adapted frisian from 20 examples in " in out
    assert out.split("--adaptation frisian\n")[1].count("\n") == 1
    assert time.monotonic() - began < 300, "five minutes"


def test_copying_a_recipe_for_real_data(terminal: Terminal, home: Path) -> None:
    *_, copy = blocks(section("### With tasks of your own"), "bash")
    assert "wrote sentences.yaml" in terminal(copy).stdout
    assert "# metanlp train sentences.yaml" in (home / "sentences.yaml").read_text(encoding="utf-8")
