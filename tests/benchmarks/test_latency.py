"""The benchmark of latency: what stands beside metanlp does the same work, and is refused where it does not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import latency
import pytest
import torch
from by_hand import ByHand
from makers import plain_recipe

from metanlp.config.load import build_recipe
from metanlp.encoding import prompts_of
from metanlp.training import meta_train

NUMBERS = {"pairs": 6, "languages": 3, "sentences": 10, "beams": 2, "new": 4, "rows": 2}


@pytest.fixture(params=["full", "lora"])
def run(request: pytest.FixtureRequest, collection: Path, tmp_path: Path) -> Path:
    """Without dropout, so that sides can be compared; it adapts far enough to write different texts."""
    raw = plain_recipe(collection) | {"fast_weights": request.param}
    raw["backbone"]["dropout"] = 0.0
    raw["adapting"] |= {"batch": 6, "decay": "linear", "steps": 16, "learning_rate": 3e-2}
    return meta_train(build_recipe(raw), tmp_path / request.param)


def latency_of(run: Path, folder: Path) -> latency.Latency:
    return latency.Latency(argparse.Namespace(run=str(run), steps=None, **NUMBERS), folder)


def test_by_hand_learns_what_metanlp_learns(run: Path, tmp_path: Path) -> None:
    """With all pairs in a batch, any order is the same."""
    found = latency_of(run, tmp_path)
    learner, plain = found.parts.learner, ByHand(found.run, found.parts, found.run.model)
    examples = found.episode.support
    pairs = found.parts.backbone.encode([prompts_of(found.run.recipe.task, found.episode, examples)])

    def loss() -> float:
        plain.model.eval()
        with torch.no_grad():
            return float(plain.loss(plain.batch(examples)))

    before = float(learner.losses(learner.spread(1), pairs))
    assert loss() == pytest.approx(before, rel=1e-5)
    for _ in range(2):  # begins anew
        plain.fine_tune(examples, found.adapting, found.steps)
    after = float(learner.losses(found.adapt_to([found.episode], found.steps), pairs))
    assert loss() - before == pytest.approx(after - before, rel=1e-3)
    assert after < before - 1e-3
    assert len(plain.trained) == len(learner.slow())


def test_plain_generate_writes_the_same(run: Path, tmp_path: Path) -> None:
    found = latency_of(run, tmp_path)
    sides = found.translate()
    for side in sides.values():
        side()
    assert list(found.written)[-1] == "metanlp"
    assert len(sides) == (4 if "lora" in run.name else 3)
    assert len(set(found.written["metanlp"])) > 1
    assert found.written[latency.BY_LENGTH] == found.written["metanlp"]
    ends = found.parts.backbone.target_tokenizer.eos_token_id
    assert found.pieces([""]) == 1 == len(found.parts.backbone.target_tokenizer("")["input_ids"])
    assert found.parts.backbone.target_tokenizer("")["input_ids"] == [ends]


def test_other_texts_are_not_timed(run: Path, tmp_path: Path) -> None:
    found = latency_of(run, tmp_path)
    sides = found.translate()
    latency.require_same_texts(found, sides)
    assert not found.written
    assert len(found.texts) == NUMBERS["sentences"]
    right = sides[latency.BY_LENGTH]

    def wrong() -> None:
        right()
        found.written[latency.BY_LENGTH][-1] += " and more"

    with pytest.raises(SystemExit, match="not the same work"):
        latency.require_same_texts(found, sides | {latency.BY_LENGTH: wrong})


def test_a_stack_is_adapted_as_one_by_one(run: Path, tmp_path: Path) -> None:
    """Full weights have nothing to compare."""
    found = latency_of(run, tmp_path)
    adapted: list[tuple[list[str], int]] = []
    found.adapt_to = lambda episodes, steps: adapted.append(([each.task for each in episodes], steps))  # type: ignore[method-assign]
    for side in found.languages().values():
        side()
    names = [episode.task for episode in found.episodes]
    assert names == ["c10", "c9", "c10"]
    one_by_one = [([name], latency.STACK_STEPS) for name in names]
    assert adapted == ([] if "full" in run.name else [*one_by_one, (names, latency.STACK_STEPS)])


def test_it_tells_what_it_found(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(latency, "memory_of", lambda work, side: 12.0)
    monkeypatch.setattr(sys, "path", list(sys.path))
    numbers = [word for name, number in NUMBERS.items() for word in (f"--{name}", str(number))]
    monkeypatch.setattr(sys, "argv", ["latency.py", str(run), *numbers, "--json", str(tmp_path / "found.json")])
    latency.main()
    told: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
    printed = capsys.readouterr().out
    for work in ("adapt", "translate"):
        for name, row in told["found"][work].items():
            assert len(row["seconds"]) == 3
            assert f"| {name} |" in printed
    assert told["found"]["translate"][latency.BY_LENGTH]["same"] == NUMBERS["sentences"]
    assert ("full weights adapt one after another" in printed) == ("full" in run.name)
    assert told["steps"] == 16
    assert told["choosing_seconds"] > 0


def test_memory_is_what_a_side_adds(run: Path, tmp_path: Path) -> None:
    found, kept = latency_of(run, tmp_path), []

    def side(megabytes: int) -> Callable[[], None]:
        return lambda: kept.append(torch.ones(megabytes * 1024 * 256).sum())

    found.adapt = lambda: {"little": side(1), "much": side(200)}  # type: ignore[method-assign]
    assert latency.added_memory(found, "adapt", "little") < 100
    assert 200 < latency.added_memory(found, "adapt", "much") < 300
