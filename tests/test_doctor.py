"""What `metanlp doctor` says of extras and cores and, with `--text`, of a tokenizer in the Hub's format."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
import torch
from backbones.real_formats import BUILDERS

from metanlp.doctor import EXTRAS, cores, examination, text_examination
from metanlp.errors import UserError

FINE = "the cat sat on the mat\na small bird sings in the old garden\n"
CRUMBS = "misitikutiyan misitikuwasi ukupimisi\nmisitikutiyan tiyanukupiwasi\n" * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and texts beside them."""
    folder = tmp_path_factory.mktemp("doctor")
    for name in ("nllb", "byt5"):
        (folder / name).mkdir()
        BUILDERS[name](folder / name)
    for name, text in (("fine", FINE), ("crumbs", CRUMBS), ("tyvan", "тыва дыл\n"), ("joined", "a small bi\u200drd\n")):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "model", "like", "said"),
    [
        ("fine", "nllb", None, ["2 lines, 14 words", "fine: the tokenizer reads this language"]),
        ("crumbs", "nllb", "fine", ["(", "in crumbs: `task.new_pieces: 500` would bring", "-> 1.0 pieces a word"]),
        (
            "tyvan",
            "nllb",
            None,
            ["50.00% of the pieces are unknown", "CYRILLIC SMALL LETTER YERU", "`task.new_pieces: 500` adds"],
        ),
        ("joined", "nllb", None, ["1 x ZERO WIDTH JOINER (U+200D)"]),
        ("tyvan", "byt5", None, ["0.00% of the pieces are unknown", "long: 7.", "ByT5 reads bytes"]),
    ],
)
def test_it_says_what_to_do(text: str, model: str, like: str | None, said: list[str], folder: Path) -> None:
    other = None if like is None else folder / f"{like}.txt"
    found = text_examination(folder / f"{text}.txt", str(folder / model), other)
    for words in said:
        assert words in found


@pytest.mark.parametrize(("bf16", "told"), [(84.0, True), (160.0, True), (1200.0, False)])
def test_it_says_where_bf16_saves_no_time(bf16: float, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {torch.float32: 155.0, torch.bfloat16: bf16}
    monkeypatch.setattr("metanlp.doctor._gigaflops", speeds.__getitem__)
    assert ("precision=fp32" in examination()) == told


def test_every_extra_brings_what_doctor_says() -> None:
    known = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = {
        name: [re.split(r"\W*>=", each)[0] for each in brought]
        for name, brought in known["optional-dependencies"].items()
    }
    for package, (_, extra) in EXTRAS.items():
        assert package.replace("_", "-") in extras[extra]
    assert {"demo", "po", "backbones"} == {extra for _, extra in EXTRAS.values()}


def test_it_needs_no_weights(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "nllb").glob("tok*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_bytes((folder / "nllb" / "config.json").read_bytes())
    assert "fine" in text_examination(folder / "fine.txt", str(tmp_path))


def test_no_such_backbone(folder: Path) -> None:
    with pytest.raises(UserError, match="'no-such/model' is neither a folder nor a reachable Hub model"):
        text_examination(folder / "fine.txt", "no-such/model")


def test_workers_are_the_cores_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == os.cpu_count()
