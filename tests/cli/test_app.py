"""The door: exit codes, what is printed where, and that it opens at once."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from terminal import MODULE, SCRIPT, Metanlp

both = pytest.mark.parametrize("door", [SCRIPT, MODULE], ids=["metanlp", "python -m metanlp"])
LIGHT = [["--help"], ["train", "--help"], ["recipes"], ["show", "demo/numbers"]]


def test_every_way_in_is_the_same_door(tmp_path: Path) -> None:
    helps = [
        subprocess.run([*door, "--help"], capture_output=True, text=True, check=True).stdout
        for door in (SCRIPT, MODULE)
    ]
    assert helps[0].replace("Usage: metanlp", "") == helps[1].replace("Usage: python -m metanlp", "")
    assert "..." not in helps[0].split("Commands:")[1], "the first sentence of a command's help is too long for a line"


@both
@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_answer_at_once(door: list[str], arguments: list[str]) -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*door, *arguments], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert len(done.stdout) > 100
        assert not done.stderr
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(2)) < 0.5


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_do_not_load_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom metanlp.__main__ import main\nheavy = {'torch', 'transformers', 'datasets', 'numpy'}\n"
        "try: main()\nfinally: print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


@both
def test_a_mistake_is_one_clean_sentence_and_exit_code_2(door: list[str]) -> None:
    done = subprocess.run([*door, "show", "demo/number"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("metanlp: no recipe 'demo/number' (did you mean 'demo/numbers'?); there are ")
    assert done.stderr.count("\n") == 1


def test_a_bug_is_exit_code_1_with_a_traceback() -> None:
    code = "import metanlp.config.load as load\nload.recipe_names = None\nfrom metanlp.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "recipes"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "TypeError" in done.stderr


@both
def test_a_reader_who_leaves_is_no_bug(door: list[str]) -> None:
    """As in `metanlp show demo/numbers | head -1`: the end that any Unix command meets, and nothing on the screen."""
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*door, "show", "demo/numbers"], stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("door", "sent", "code"), [(SCRIPT, signal.SIGTERM, 143), (MODULE, signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_stopping_saves_and_says_so(
    door: list[str], sent: int, code: int, home: Path, tmp_path: Path, metanlp_: Metanlp
) -> None:
    more = ["stages.meta.train.steps=100000", "stages.meta.train.save_every=100000"]
    command = [*door, "train", str(home / "ciphers.yaml"), *more, "--out", str(tmp_path / "runs" / "long")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "runs" / "long" / "meta" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert err.splitlines()[-1] == "metanlp: stopped; everything is saved, and the same command goes on from there"
    (saved,) = (metrics.parent / "checkpoints").glob("step-*")
    step = json.loads((saved / "state.json").read_text())["step"]
    assert 3 <= step < 100_000
    assert step == json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert f"{step:,} of 100,000 steps" in metanlp_("runs", tmp_path / "runs").out


def test_bare_and_unknown_commands_show_the_way(metanlp_: Metanlp) -> None:
    bare = metanlp_()
    assert bare.code == 2
    assert "metanlp train demo/numbers" in bare.out + bare.err
    unknown = metanlp_("trian", "demo/numbers")
    assert unknown.code == 2
    assert "No such command 'trian'" in unknown.err
    assert metanlp_("--version").out == "metanlp 0.1.0\n"
