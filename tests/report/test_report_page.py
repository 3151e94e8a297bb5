"""The page and the files beside it: whole, harmless, and the commands that repeat them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_results import make_results
from pages import Page, png_size

from metanlp.config.load import changed, load_recipe
from metanlp.report import tables, write_report
from metanlp.results import Results
from metanlp.run import Run


def test_report(run: Run, tmp_path: Path) -> None:
    evil = '<script>alert(1)</script> & "x"'
    results = make_results(outputs={"joint": ["شكرا جزيلا", "zwei"], "meta": [evil, "drei"]}, seeds=[0, 1])
    path = write_report(results, run, tmp_path / "report")
    assert path == tmp_path / "report" / "report.html"
    names = {
        "results.json",
        "comparisons.json",
        "predictions.jsonl",
        "table.txt",
        "curve.png",
        "shots.png",
        "report.html",
    }
    assert {file.name for file in path.parent.iterdir()} == names
    assert Results.read(path.parent) == results
    assert (path.parent / "table.txt").read_text() == tables(results, "chrF")
    for name in ("curve.png", "shots.png"):
        width, height = png_size((path.parent / name).read_bytes())
        assert 900 <= width <= 3000
        assert 500 <= height <= 2000
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert [address[:22] for address in page.addresses()] == ["data:image/png;base64,"] * 4
    assert "script" not in {tag for tag, _ in page.tags}
    assert evil in page.text
    assert "url(" not in html
    assert "@import" not in html
    right_to_left = [found for tag, found in page.tags if tag == "dd" and found.get("dir") == "auto"]
    assert len(right_to_left) == 4 * 4  # source, reference and two outputs of four sentences
    assert "شكرا جزيلا" in page.text
    for told in ("abc123", "d1ge57", "+10.0", "p = .12", "kind: fomaml", "seeds 0, 1", "joint (joint) 1,200"):
        assert told in page.text
    assert "51.0" in page.text  # task aa, meta, 4 shots: the mean of 50 and 52
    assert write_report(results, run, tmp_path / "again").read_text() == html


def test_the_commands_repeat_it(run: Run, tmp_path: Path) -> None:
    options = ["stages=[joint, meta]", "shots=[0, 4, 64]", "seeds=[0, 1]", "metrics=[BLEU]", "queries=2", "beams=3"]
    asked = changed(run.recipe.evaluation, *options, subject="evaluation")
    results = replace(make_results(seeds=[0, 1], metrics=["BLEU"]), asked=asked.dump())
    page = Page(write_report(results, run, tmp_path / "report").read_text())
    train, evaluate = (shlex.split(line) for line in page.text.splitlines() if line.startswith("metanlp "))
    assert load_recipe(train[2]).dump() == run.recipe.dump()
    assert train[3:] == ["--out", str(tmp_path / "my run-again")]
    assert evaluate[:5] == ["metanlp", "evaluate", str(tmp_path / "my run-again"), "--split", "test"]
    given = dict(zip(evaluate[5::2], evaluate[6::2], strict=True))
    settings = [value for key, value in zip(evaluate[5::2], evaluate[6::2], strict=True) if key == "--set"]
    measured = changed(run.recipe.evaluation, *settings, f"shots=[{given['--shots']}]", subject="evaluation")
    assert measured == asked
    assert len(settings) == 5  # what the recipe says is not said again


@pytest.mark.parametrize(
    "case",
    [
        {"stages": ["meta"]},
        {"shots": [4]},
        {"shots": [0]},
        {"tasks": ["aa"]},
        {
            "stages": ["meta", "other/meta", "$x_1$", "始まり"],
            "metrics": ["chrF", "BLEU", "TER", "chrF++", "exact_match"],
        },
    ],
    ids=["one stage", "no zero-shot", "only zero-shot", "one task", "many"],
)
def test_other_shapes(case: dict[str, Any], run: Run, tmp_path: Path) -> None:
    results = make_results(**case)
    path = write_report(results, run, tmp_path / "report")
    assert Page(path.read_text(encoding="utf-8")).open == []
    png_size((tmp_path / "report" / "shots.png").read_bytes())


def test_without_matplotlib(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(make_results(), run, tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(write_report(make_results(), run, tmp_path).read_text())
    assert not list(tmp_path.glob("*.png"))  # those of the earlier report are gone
    assert page.addresses() == []
    assert "pip install 'metanlp[demo]'" in page.text
