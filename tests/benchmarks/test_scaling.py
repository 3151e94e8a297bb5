"""The benchmark of scaling: 1 and 2 processes do the same work, and the model on paper is what it says."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import scaling
import yaml
from makers import plain_recipe
from scaling import Links, Measured
from watching import steps_of

from metanlp.config import load_recipe

MEASURED = Measured(stacks=[2.0], encoding=0.5, drawing=0.01, outer=0.3, bytes=10**9, per_process=2, tasks=1)
LINKS = Links(inside=100e9, between=10e9, latency=1e-3)


def test_a_ring_by_hand() -> None:
    assert LINKS.reduction(1, 10**9) == 0
    assert LINKS.reduction(8, 10**9) == pytest.approx(2 * 7 / 8 / 100 + 14e-3)
    assert LINKS.reduction(64, 10**9) == pytest.approx(2 * 63 / 64 / 10 + 126e-3)


def test_a_step_on_paper_by_hand() -> None:
    found = scaling.on_paper(MEASURED, LINKS, 8, stacks=2, faster=3.0)
    passes = 2 * (1.5 / 3 + 0.5)
    drawing, outer, reducing = 2 * 0.01, 0.3 / 3, LINKS.reduction(8, 10**9)
    assert found["stacks"] == pytest.approx(passes)
    assert found["waiting"] == 0  # all stacks are alike
    assert found["step"] == pytest.approx(passes + drawing + outer + reducing)
    assert found["share"] == pytest.approx((passes + drawing + outer) / found["step"])


def test_the_whole_meta_batch_is_drawn_where_stacks_hold_several_episodes() -> None:
    alone, stacked = (scaling.on_paper(replace(MEASURED, tasks=tasks), LINKS, 8, 2) for tasks in (1, 4))
    assert alone["drawing"] == pytest.approx(2 * 0.01)
    assert stacked["drawing"] == pytest.approx(2 * 4 * 8 * 0.01)


def test_everybody_waits_for_the_slowest() -> None:
    """Of two GPUs with a stack of 1 or 3 s each, the slower takes 1 s in a quarter of all steps and 3 s in the others."""
    found = scaling.on_paper(replace(MEASURED, stacks=[1.0, 3.0]), LINKS, 2, stacks=1)
    assert found["waiting"] == pytest.approx((1 + 3 * 3) / 4 - 2, abs=5 * 0.87 / scaling.TRIALS**0.5)


def test_one_process_and_two_do_the_same_work(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(plain_recipe(collection)))
    monkeypatch.setattr(sys, "argv", [scaling.__file__, str(path), "--steps", "1", "--blocks", "1"])
    monkeypatch.setitem(os.environ, "PYTHONPATH", str(Path(__file__).parents[2]))
    recipe = steps_of(load_recipe(str(path)), "meta", 1)
    (block,) = scaling.measure(recipe)
    ((alone,),) = block["1"]
    (first,), (second,) = block["2"]
    assert alone["tasks"] == [1, 1, 1, 1]
    assert first["tasks"] == second["tasks"] == [1, 1]
    assert alone["real"] == first["real"] + second["real"]
    assert alone["bytes"] == first["bytes"] == second["bytes"]
    text = scaling.table([block], scaling.measured(recipe, [block]), [scaling.on_paper(MEASURED, LINKS, 1, 2)])
    assert f"a step reduces {alone['bytes']:,} bytes" in text
