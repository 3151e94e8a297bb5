"""Commands that look: runs, doctor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from terminal import Metanlp


def test_runs_lists_stages_adaptations_and_results(metanlp_: Metanlp, home: Path) -> None:
    done = metanlp_("runs", home / "runs")
    assert done.code == 0
    assert f"{home / 'runs' / 'one'}\n  meta         fomaml     4 of 4 steps, 96 passes" in done.out
    assert "  start        joint      3 of 3 steps" in done.out


def test_runs_passes_over_what_it_cannot_read(metanlp_: Metanlp, home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "recipe.yaml").write_text("seed: [1\n")
    (folder / "b").symlink_to(home / "runs" / "one")
    done = metanlp_("runs", folder)
    assert done.code == 0
    assert "4 of 4 steps" in done.out
    assert "not valid YAML" in done.out


def test_runs_where_there_are_none(metanlp_: Metanlp, tmp_path: Path) -> None:
    assert "there are no runs" in metanlp_("runs", tmp_path).out
    missing = metanlp_("runs", tmp_path / "none")
    assert missing.code == 2
    assert "there is no folder" in missing.err


def test_doctor_names_versions_device_and_speed(metanlp_: Metanlp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metanlp.doctor.SECONDS", 0.01)
    monkeypatch.setitem(__import__("metanlp.doctor").doctor.EXTRAS, "no_such_package", ("testing", "some"))
    done = metanlp_("doctor")
    assert done.code == 0
    assert "  torch 2." in done.out
    assert "GPU" in done.out
    assert "GFLOP/s" in done.out
    assert re.search(r"missing extras \(pip install 'metanlp\[(\w+,)*some\]'\)", done.out)
    assert "no_such_package: testing (extra some)" in done.out
