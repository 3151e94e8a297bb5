"""docs/your-language.md, command by command, with a small model of NLLB's class and a small collection in their places."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from backbones.real_formats import nllb
from small_collections import write_tasks

import metanlp.__main__

PAGE = (Path(__file__).parents[1] / "docs" / "your-language.md").read_text(encoding="utf-8")
HUB = "facebook/nllb-200-distilled-600M"
PAIRS = [("тыва дыл", "the cat"), ("чоннуң дылы", "the old garden"), ("тыва улус", "a small bird"), ("дыл", "bread")]
SMALL = ["trackers=[]", "evaluation.max_new_tokens=4", "adapting.steps=3", "task.collection=tasks"]


def block(section: str, language: str, number: int = 0) -> str:
    text = PAGE[PAGE.index(f"\n## {section}\n") :]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)[number]


def small(stages: list[str]) -> list[str]:
    return [*SMALL, *(f"stages.{stage}.train.{what}" for stage in stages for what in ("steps=1", "meta_batch=2"))]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a terminal is in: the user's pairs, and stand-ins for data and model."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{left} {number}\t{right} {number}" for number in range(5) for left, right in PAIRS]
    (tmp_path / "tyvan.tsv").write_text("source\ttarget\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    write_tasks(tmp_path / "tasks", 90)
    (tmp_path / "nllb").mkdir()
    nllb(tmp_path / "nllb")
    return tmp_path


@pytest.fixture
def terminal(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs a line of the page; what a line needs besides comes as `more`. Returns what was printed."""

    def run(line: str, *more: str) -> str:
        echoed, _, command = line.rpartition(" | ")
        words = [*shlex.split(command), *more]
        if words[0] != "metanlp":
            return subprocess.run(["bash", "-euc", line], check=True, capture_output=True, text=True).stdout
        given = shlex.split(echoed)[1] if echoed else ""
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{given}\n".encode())))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            metanlp.__main__.main()
        out, err = capfd.readouterr()
        assert not ended.value.code, err
        return out

    return run


def test_what_a_model_will_see(terminal, home: Path) -> None:
    first, second = block("What a model will see of it", "bash").splitlines()
    terminal(first)
    assert (home / "tyvan.txt").read_text(encoding="utf-8").startswith("тыва дыл 0\nчоннуң дылы 0\n")
    assert "no training mends that; `task.new_pieces: 500` adds" in terminal(second.replace(HUB, "nllb"))


def test_on_a_laptop(terminal) -> None:
    _, train, adapt, translate = block("On a laptop", "bash").splitlines()
    size = ["vocabulary=300", "width=16", "heads=2", "feed_forward=16"]
    terminal(train, *small(["start", "joint", "meta"]), *(f"backbone.{each}" for each in size))
    assert "adapted tyvan from 20 examples" in terminal(adapt)
    assert terminal(translate).count("\n") == 1


def test_on_one_gpu(terminal, home: Path) -> None:
    """The recipe's line is the page's, and what follows it works; the adapter loads as the page says."""
    section = "On one GPU, with NLLB"
    _, copy = block(section, "bash").splitlines()
    terminal(copy)
    mine = home / "mine.yaml"
    text = mine.read_text(encoding="utf-8").replace("# new_languages", "new_languages").replace(HUB, "nllb")
    line = yaml.safe_load(block(section, "yaml"))["task"]
    assert {key: yaml.safe_load(text)["task"][key] for key in line} == line
    mine.write_text(text.replace("kaz_Cyrl", "quy_Latn").replace("data/tatoeba-flores", "tasks"), encoding="utf-8")

    terminal(block("What a model will see of it", "bash").splitlines()[0])
    pieces = yaml.safe_load(block(section, "yaml", 1))["task"]
    assert line.items() <= pieces.items()
    more = [f"task.{key}={value}" for key, value in pieces.items() if key not in line]
    more += ["evaluation.shots=[0]", "evaluation.queries=1", "backbone.max_length=60"]
    check, train, adapt, translate = block(section, "bash", 1).splitlines()
    assert "new in its vocabulary: " in terminal(check, *more, *small(["start", "joint", "meta"]))
    terminal(train, *more, *small(["start", "joint", "meta"]))
    assert "adapted tyvan from 20 examples" in terminal(adapt)
    assert terminal(translate).count("\n") == 1

    names: dict = {}
    exec(block("What is learnt, and what stays", "python"), names)
    assert (
        names["tokenizer"].convert_tokens_to_ids("tyv_Cyrl")
        in names["model"].peft_config["default"].trainable_token_indices["model.shared"]
    )
