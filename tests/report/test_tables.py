"""Tables and the sentences around them, of results made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_results import BASE, SMALL, make_results
from pages import Page

from metanlp.errors import UserError
from metanlp.report import tables, write_report
from metanlp.report.summary import probability, signed
from metanlp.report.text import WIDTH, difference
from metanlp.results import PROMPTED, Comparison
from metanlp.run import Run


def labels(text: str) -> list[str]:
    return [line[:16].rstrip() for line in text.splitlines() if line.startswith(("zero-shot", "adapted"))]


def test_table_by_hand() -> None:
    expected = """\
chrF, mean over 2 test tasks of toy [95% interval]; higher is better

                            4 shots            64 shots
zero-shot joint   20.0 [18.0, 21.5]   20.0 [18.0, 21.5]
zero-shot meta     10.0 [8.0, 11.5]    10.0 [8.0, 11.5]
adapted joint     40.0 [38.0, 41.5]   60.0 [58.0, 61.5]
adapted meta      50.0 [48.0, 51.5]   60.0 [58.0, 61.5]

meta - joint      +10.0 [-0.3, 2.6]     0.0 [-0.3, 2.6]
                            p = .12             p = .12

meta - joint, zero-shot: -10.0 [-0.3, 2.6], p = .12

2 tasks, 2 queries each; seed 0; interval: tasks resampled
passes: joint (joint) 1,200, meta (fomaml) 34,000 (training, with the stages before)
signature: chrF|version:0
"""
    assert tables(make_results(), "chrF") == expected


def test_a_pair_that_no_column_compares_has_no_lines_there() -> None:
    results = make_results()
    results.comparisons[:] = [each for each in results.comparisons if not each.shots]
    below = tables(results, "chrF").split("adapted meta")[1]
    assert [line for line in below.splitlines() if line][1:2] == ["meta - joint, zero-shot: -10.0 [-0.3, 2.6], p = .12"]


def test_starts_that_are_the_same_take_one_line() -> None:
    same = {**BASE, ("meta", 0): BASE["joint", 0]}
    assert labels(tables(make_results(base=same), "chrF")) == ["zero-shot", "adapted joint", "adapted meta"]
    assert labels(tables(make_results(stages=["meta"]), "chrF")) == ["zero-shot meta", "adapted meta"]
    assert labels(tables(make_results(shots=[4]), "chrF")) == ["adapted joint", "adapted meta"]
    only = tables(make_results(shots=[0]), "chrF")
    assert labels(only) == ["zero-shot joint", "zero-shot meta"]
    assert "0 shots" in only
    assert only.count("-10.0 [-0.3, 2.6]") == 1


def test_one_task_has_no_interval() -> None:
    text = tables(make_results(tasks=["aa"]), "chrF")
    assert "no interval from one task" in text
    assert "[" not in text
    assert "meta - joint" not in text


def test_columns_of_different_tasks_by_hand() -> None:
    """Task number i is i better: the means over those that a column leaves out differ from the base."""
    expected = """\
chrF, mean over test tasks of toy [95% interval]; higher is better

                                     4 shots   64 shots
tasks                                      2          1
zero-shot joint            20.5 [20.0, 21.0]       20.0
zero-shot meta             10.5 [10.0, 11.0]       10.0
adapted joint              40.0 [38.0, 41.5]       60.0
adapted meta               50.0 [48.0, 51.5]       60.0

the task in all columns:
zero-shot joint                         20.0       20.0
zero-shot meta                          10.0       10.0
adapted joint                           40.0       60.0
adapted meta                            50.0       60.0

meta - joint               +10.0 [-0.3, 2.6]
                                     p = .12

meta - joint, zero-shot: -10.0 [-0.3, 2.6], p = .12 (3 tasks)

A task with too few examples for a column is left out of it: columns are means over different
tasks, so compare them by the lines of the task in all columns alone
1 to 2 tasks, 2 queries each; seed 0; interval: tasks resampled
passes: joint (joint) 1,200, meta (fomaml) 34,000 (training, with the stages before)
signature: chrF|version:0
"""
    results = make_results(tasks=["aa", "bb", "cc"], most=SMALL)
    results.comparisons[:] = [each for each in results.comparisons if each.shots < 64]  # of one task there is none
    assert tables(results, "chrF") == expected


def test_values_that_are_no_scores_of_texts_by_hand() -> None:
    """The perplexity says its direction, `C` two digits; neither plot begins at 0."""
    base = {("joint", 4): 42.14, ("meta", 4): 40.56}
    text = tables(make_results(metrics=["perplexity"], shots=[4], base=base), "perplexity")
    assert "lower is better" in text
    assert [" ".join(line.split()) for line in text.splitlines()[3:7]] == [
        "adapted joint 42.1 [40.1, 43.6]", "adapted meta 40.6 [38.6, 42.1]", "", "meta - joint -1.6 [-0.3, 2.6]",
    ]  # fmt: skip
    base = {("joint", 4): -0.031, ("meta", 4): 0.204}
    text = tables(make_results(metrics=["C"], shots=[4], base=base), "C")
    assert "higher is better" in text
    assert [" ".join(line.split()) for line in text.splitlines()[3:7]] == [
        "adapted joint -0.03 [-2.03, 1.47]", "adapted meta 0.20 [-1.80, 1.70]", "", "meta - joint +0.23 [-0.30, 2.60]",
    ]  # fmt: skip
    assert [signed(value, "C") for value in (-0.004, 0.04, -0.2)] == ["0.00", "+0.04", "-0.20"]


def test_the_backbone_with_examples_in_its_prompt_has_lines_of_its_own(run: Run, tmp_path: Path) -> None:
    """It is no stage: neither adapted, nor trained, nor another run; persona sentences are known of one task of two."""
    fit, persona = f"{PROMPTED} (fit)", f"{PROMPTED} (persona)"
    results = make_results(stages=["joint", "meta", fit, persona])
    kept = [row for row in results.rows if bool(row.shots) == (row.stage == fit) or row.stage in ("joint", "meta")]
    kept = [row for row in kept if (row.stage, row.task) != (persona, "bb")]
    results.rows[:] = [replace(row, tasks=1) if row.stage == persona else row for row in kept]
    text = tables(results, "chrF")
    assert [line[:38].rstrip() for line in text.splitlines()[3:9]] == [
        "zero-shot joint", "zero-shot meta", "adapted joint", "adapted meta",
        "zero-shot prompted (fit)", "zero-shot prompted (persona) (1 task)",
    ]  # fmt: skip
    assert "meta (fomaml) 34,000; prompted 0, the backbone's own weights (training" in text
    page = Page(write_report(results, run, tmp_path / "report").read_text(encoding="utf-8"))
    assert "--against" not in page.text
    assert page.open == []


def test_seeds_and_direction_are_told() -> None:
    text = tables(make_results(seeds=[3, 5], metrics=["chrF", "TER"]), "TER")
    assert "seeds 3, 5" in text
    assert "lower is better" in text
    with pytest.raises(UserError, match=r"'chrf' was not measured \(did you mean 'chrF'\?\); there are chrF, TER"):
        tables(make_results(metrics=["chrF", "TER"]), "chrf")


def test_a_wide_table_stands_in_blocks() -> None:
    counts = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    base = {(stage, count): count / 4 for stage in ("joint", "meta") for count in counts}
    text = tables(make_results(shots=counts, base=base), "chrF")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("adapted meta") > 1
    assert [text.count(f" {count} shots") for count in (2, 256)] == [1, 1]
    assert " 1 shot " in text
    for count in counts:
        assert text.count(f" {count / 4:.1f} [") == 2


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "p < .001"), (0.001, "p = .001"), (0.0488, "p = .049"), (0.1234, "p = .12"), (1.0, "p = 1.00")],
)
def test_probability(p: float, text: str) -> None:
    assert probability(p) == text


def test_no_end_of_an_interval_is_minus_nothing() -> None:
    gain = Comparison("meta", "joint", 4, "chrF", 3.8, -0.04, 7.0, 0.037, 12)
    assert difference(gain) == "+3.8 [0.0, 7.0]"


def test_signed() -> None:
    assert [signed(number) for number in (1.25, -0.34, 0.04, -0.04)] == ["+1.2", "-0.3", "0.0", "0.0"]
