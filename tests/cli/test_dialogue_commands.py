"""The commands on a collection of dialogues, from check to an adaptation, with the smallest model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from makers import cipher, plain_recipe
from terminal import Metanlp

from metanlp.config.yaml import write_yaml


def person(folder: Path, key: int, dialogues: int) -> Path:
    """Somebody who answers every word by the same word, `key` letters further on."""
    words = ["abc", "bad", "cafe", "dead"]
    rows = []
    for number in range(dialogues):
        lines: list[str] = []
        for word in words[number % 2 :]:
            lines.append(f"{word}{number}")
            reply = cipher(key, word)
            rows.append({"dialogue": f"{key}-{number}", "history": list(lines), "reply": reply})
            lines.append(reply)
    path = folder / f"p{key}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_check_to_an_adaptation(metanlp_: Metanlp, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for split, people in {"train": {1: 3, 2: 4, 3: 5}, "valid": {4: 2, 5: 5}, "test": {6: 2, 7: 6}}.items():
        for key, dialogues in people.items():
            person(tmp_path / "people" / split, key, dialogues)
    facts = {"family": "dialogue", "licence": "CC0", "source": "made by a test", "parallel": False}
    write_yaml(tmp_path / "people" / "collection.yaml", facts)
    raw = plain_recipe(tmp_path / "people") | {"task": {"kind": "dialogue", "collection": str(tmp_path / "people")}}
    raw["stages"]["meta"]["train"] |= {"steps": 2, "validate_every": 2}
    raw["evaluation"] |= {"shots": [0, 1, 4]}
    write_yaml(tmp_path / "people.yaml", raw)

    checked = metanlp_("check", tmp_path / "people.yaml")
    assert checked.code == 0, checked.err
    assert "train      3 tasks,         43 examples, 11 to 18 a task, in 12 dialogues" in checked.out
    run = tmp_path / "run"
    trained = metanlp_("train", tmp_path / "people.yaml", "--out", run)
    assert trained.code == 0
    assert trained.out.splitlines()[-1] == f"  adapt it:    metanlp adapt {run} examples.jsonl --name NAME"
    logged = [json.loads(line) for line in (run / "meta" / "metrics.jsonl").read_text().splitlines()]
    assert logged[-1]["valid_loss_adapted"] > 0
    measured = metanlp_("evaluate", run, "--workers", "1")
    assert measured.code == 0, measured.err
    rows = json.loads((run / "report" / "results.json").read_text())
    assert {(row["task"], row["shots"]) for row in rows if row["task"]} == {
        ("p6", 0),
        ("p6", 1),
        ("p7", 0),
        ("p7", 1),
        ("p7", 4),
    }

    lines = person(tmp_path, 8, 4)
    lines.write_text(
        lines.read_text() + '{"dialogue": "8-0", "history": ["late"], "reply": "too late"}\n{"source": "a"}\n'
    )
    adapted = metanlp_("adapt", run, lines, "--name", "eight")
    assert adapted.code == 0, adapted.err
    assert "adapted eight from 14 examples in " in adapted.out
    left_out = adapted.err.splitlines()
    assert f"left out {lines}:15: scattered dialogue" in left_out[0]
    assert f"left out {lines}:16: missing column" in left_out[1]
    assert f'use it:  metanlp.pipeline("dialogue", "{run}", adaptation="eight") in Python' in adapted.out

    folder = run / "meta" / "adaptations" / "eight"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "```\n> a text\n```" in card  # as a model that knows no chat reads it
    code = card.split("```python\n")[1].split("```")[0]
    there = {"RUN": str(run), "this folder, or its name on the Hub": str(folder)}
    for name, place in there.items():
        code = code.replace(f'"{name}"', repr(place))
    exec(code, {})
    assert capfd.readouterr().out.endswith("\n")
