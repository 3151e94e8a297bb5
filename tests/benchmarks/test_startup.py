"""The benchmark of starting up: it goes as far as the first outer step, and the parts are the whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import startup
import yaml
from makers import plain_recipe


def test_it_stops_before_the_first_step(collection: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump(plain_recipe(collection)))
    command = [sys.executable, startup.__file__, str(recipe), "--start", str(tmp_path / "run")]
    new, again = (json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(2))
    for spent in (new, again):
        assert list(spent) == list(startup.PARTS)
        assert sum(spent[part] for part in startup.PARTS[:-1]) == pytest.approx(spent["in all"])
        assert all(seconds >= 0 for seconds in spent.values())
        assert spent["imports"] > 0.3  # nobody imports torch in less
    least = 0.1 * new["imports"]  # transformers' models are imported for the tokenizer, and then it is there
    assert new["made once"] > least > again["made once"]
    assert new["made once"] > 20 * again["made once"]
    assert (tmp_path / "run/recipe.yaml").is_file()
    assert not list(tmp_path.glob("run/*/checkpoints"))


def test_a_run_that_is_done_has_no_first_step(collection: Path, tmp_path: Path) -> None:
    from metanlp.config.load import build_recipe
    from metanlp.training import meta_train

    raw = plain_recipe(collection)
    recipe = tmp_path / "small.yaml"
    recipe.write_text(yaml.safe_dump(raw))
    meta_train(build_recipe(raw), tmp_path / "run")
    with pytest.raises(SystemExit, match="no outer step to begin"):
        startup.start(str(recipe), tmp_path / "run", [])


def test_the_table_holds_medians() -> None:
    times = [dict.fromkeys((*startup.PARTS, "by the clock"), seconds) for seconds in (1.0, 5.0, 3.0)]
    told = {"recipe": "mine", "floor": [1.0, 2.0, 9.0], "found": {"a new run": times, "again": times[:1]}}
    printed = startup.table(told).splitlines()
    assert "| data | 3.00 | 1.00 |" in printed
    assert "| of the floor, 2.00 | 1.50 | 0.50 |" in printed
