"""The report: hand-made results, and what tables, sentences, plots and the page say of them."""

from __future__ import annotations

import json
import shlex
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanlp.config.load import changed, load_recipe
from metanlp.config.recipe import Evaluation
from metanlp.config.yaml import write_yaml
from metanlp.errors import UserError
from metanlp.report import samples, tables, write_report
from metanlp.report.curves import Line, smoothed, training_curves
from metanlp.report.drawing import LIGHT, drawable
from metanlp.report.sentences import Piece, choose_samples, differences
from metanlp.report.shots_plot import apart, draw_metric, everywhere, shot_places, title_of
from metanlp.report.summary import probability, signed
from metanlp.report.text import WIDTH, difference
from metanlp.results import PROMPTED, Comparison, Predicted, Results, Row
from metanlp.run import Run

PASSES = {"joint": 1200, "meta": 34000}
BASE = {("joint", 0): 20.0, ("joint", 4): 40.0, ("joint", 64): 60.0}
BASE |= {("meta", 0): 10.0, ("meta", 4): 50.0, ("meta", 64): 60.04}


def row(
    stage: str,
    task: str | None,
    shots: int,
    value: float,
    seed: int | None = 0,
    metric: str = "chrF",
    tasks: int = 1,
) -> Row:
    algorithm = {"joint": "joint", "meta": "fomaml"}.get(stage, "joint")
    passes = PASSES.get(stage, 7)
    signature = f"{metric}|version:0"
    low, high = (None, None) if task is None and tasks < 2 else (value - 2, value + 1.5)
    return Row("toy", stage, algorithm, task, shots, seed, metric, value, low, high, passes, signature, tasks)


def make_results(
    stages: Sequence[str] = ("joint", "meta"),
    shots: Sequence[int] = (0, 4, 64),
    tasks: Sequence[str] = ("aa", "bb"),
    seeds: Sequence[int] = (0,),
    metrics: Sequence[str] = ("chrF",),
    outputs: dict[str, list[str]] | None = None,
    base: dict[tuple[str, int], float] = BASE,
    most: dict[str, int] | None = None,
) -> Results:
    """Task number i is i better than the base, seed number j 2 j better. `most` are the shots that a task can do."""
    most = most or {}
    outputs = outputs or {"joint": ["ein mal", "zwei"], "meta": ["ein mal", "drei"]}
    rows, predicted = [], []
    for metric in metrics:
        for stage in stages:
            for count in shots:
                start = base.get((stage, count), 30.0)
                able = [task for task in tasks if count <= most.get(task, count)]
                rows.append(row(stage, None, count, start, None if len(seeds) > 1 else 0, metric, len(able)))
                for i, task in enumerate(able):
                    rows += [row(stage, task, count, start + i + 2 * j, seed, metric) for j, seed in enumerate(seeds)]
    for stage in stages:
        for count in shots:
            for task in tasks:
                for seed in seeds if count <= most.get(task, count) else ():
                    texts = outputs.get(stage, ["ein mal", "zwei"])
                    said = [f"{task} {text}" if count == max(shots) and seed == seeds[0] else "-" for text in texts]
                    references = [f"{task} ein mal", f"{task} drei"]
                    predicted.append(
                        Predicted(stage, "fomaml", task, count, seed, 7, 5, 0.5, ["1", "3"], references, said)
                    )  # fmt: skip
    compared = []
    for metric in metrics:
        for stage in stages[1:]:
            for count in shots:
                gain = base.get((stage, count), 30.0) - base.get((stages[0], count), 30.0)
                compared.append(Comparison(stage, stages[0], count, metric, gain, -0.3, 2.6, 0.12, len(tasks)))
    facts: dict[str, Any] = {"metanlp": "0.1.0", "commit": "abc123"}
    return Results(
        "toy", "d1ge57", "test", rows, compared if len(tasks) > 1 else [], predicted, facts, Evaluation().dump()
    )


@pytest.fixture
def run(make_recipe: Callable[..., Any], tmp_path: Path) -> Run:
    """joint, then meta, trained on paper: only their logbooks are there."""
    raw = make_recipe().dump()
    raw["stages"] = {
        "joint": {**raw["stages"]["meta"], "algorithm": {"kind": "joint", "inner_steps": 2}},
        **raw["stages"],
    }
    raw["stages"]["meta"]["after"] = "joint"
    folder = tmp_path / "my run"
    folder.mkdir()
    write_yaml(folder / "recipe.yaml", raw)
    write_log(folder / "joint", [(1, 10, {"loss": 4.0}), (2, 20, {"loss": 2.0}), (2, 20, {"valid_loss": 3.0})])
    last = {"valid_loss": 2.5, "valid_loss_adapted": 1.0}
    write_log(folder / "meta", [(1, 50, {"loss": 1.5}), (2, 100, {"loss": 1.0}), (2, 100, last)])
    return Run.open(folder)


def write_log(folder: Path, lines: list[tuple[int, int, dict[str, float]]]) -> None:
    folder.mkdir()
    texts = [json.dumps({"step": step, "passes": passes, "seconds": 1.0, **found}) for step, passes, found in lines]
    (folder / "metrics.jsonl").write_text("".join(f"{text}\n" for text in texts))


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


def labels(text: str) -> list[str]:
    return [line[:16].rstrip() for line in text.splitlines() if line.startswith(("zero-shot", "adapted"))]


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


SMALL = {"bb": 4, "cc": 0}  # aa can do 64 shots


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


def test_a_plot_of_perplexities_does_not_begin_at_0() -> None:
    from matplotlib.figure import Figure

    colours = {"joint": "#111111", "meta": "#222222"}
    for metric, begins_at_0 in (("perplexity", False), ("chrF", True)):
        results = make_results(metrics=[metric], shots=[4, 64], base={})  # 30 throughout
        axes = Figure().subplots()
        draw_metric(axes, everywhere(results, metric), {4: 2.0, 64: 6.0}, colours)
        assert (axes.get_ylim()[0] == 0) == begins_at_0
        assert title_of(results, metric) == metric + (" (lower is better)" if metric == "perplexity" else "")


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


def test_a_plot_is_of_the_same_tasks_all_along(run: Run, tmp_path: Path) -> None:
    results = make_results(tasks=["aa", "bb", "cc"], most=SMALL)
    rows = everywhere(results, "chrF")
    assert {(each.stage, each.shots): each.value for each in rows} == BASE  # of aa
    assert {each.tasks for each in rows} == {1}
    page = Page(write_report(results, run, tmp_path / "report").read_text(encoding="utf-8"))
    assert page.open == []
    assert "the task in all columns" in page.text
    assert "columns are means over different tasks" in page.text
    assert "tasks21" in "".join(page.text.split())


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


@pytest.mark.parametrize(
    ("text", "reference", "marked"),
    [
        ("a b c", "a b c", "a b c"),
        ("red blue green", "red pink green", "red [blue] green"),  # words unlike: whole
        ("seventyy two", "seventy two", "seventy[y] two"),  # words alike: by letters
        ("seventy tw", "seventy two", "seventy tw[]"),
        ("one three", "one two three", "one []three"),
        ("one two", "one", "one[ two]"),
        ("aha-kron-na", "aha-akron-na", "aha-[]kron-na"),
        ("", "one", "[]"),
        ("red blue green", "red two", "red [blue green]"),  # nothing but a space between them
        ("a blue green z", "a one two z", "a [blue green] z"),
        ("कमिता", "कमिति", "कमि[ता]"),  # a vowel sign stays with its letter
        ("नक्षत्र", "नक्रत्र", "न[क्ष]त्र"),  # and a conjunct in one piece
    ],
)
def test_differences_by_hand(text: str, reference: str, marked: str) -> None:
    pieces = differences(text, reference)
    assert "".join(piece.text if piece.kind == "same" else f"[{piece.text}]" for piece in pieces) == marked


@given(st.text("ab -é", max_size=12), st.text("ab -é", max_size=12))
def test_pieces_join_to_the_text(text: str, reference: str) -> None:
    pieces = differences(text, reference)
    assert "".join(piece.text for piece in pieces) == text
    assert all((piece.kind == "missing") == (piece.text == "") for piece in pieces)
    assert (text == reference) == all(piece.kind == "same" for piece in pieces)
    assert differences(text, text) == ([Piece("same", text)] if text else [])


def test_samples_are_right_and_wrong_in_turns() -> None:
    results = make_results(tasks=["aa", "bb", "cc"], seeds=[0, 1])
    chosen = choose_samples(results, 5)
    assert [(sample.task, sample.reference, sample.shots) for sample in chosen] == [
        ("aa", "aa ein mal", 64), ("aa", "aa drei", 64), ("bb", "bb ein mal", 64), ("bb", "bb drei", 64),
        ("cc", "cc ein mal", 64),
    ]  # fmt: skip
    rights = {(sample.reference, output.stage): output.right for sample in chosen for output in sample.outputs}
    assert rights["aa drei", "meta"]
    assert not rights["aa drei", "joint"]
    few = choose_samples(make_results(outputs={"meta": ["ein mal", "x"]}, tasks=list("abcdef")), 3)
    assert [(sample.task, sample.outputs[-1].right) for sample in few] == [
        ("a", True),
        ("c", False),
        ("e", True),
    ]
    assert len(choose_samples(results, 99)) == 6  # all there are
    assert choose_samples(make_results(tasks=["aa"]), 2)[0].source == "1"


def test_samples_as_text() -> None:
    expected = """\
Outputs after 64 examples; [brackets] differ from the reference, [] is missing

aa
  source       1
  reference    aa ein mal
  joint      ✓ aa ein mal
  meta       ✓ aa ein mal

bb
  source       3
  reference    bb drei
  joint      ✗ bb [zwei]
  meta       ✗ bb dr[x]i
"""
    outputs = {"joint": ["ein mal", "zwei"], "meta": ["ein mal", "drxi"]}
    assert samples(make_results(outputs=outputs), 2) == expected
    nasty = samples(make_results(outputs={"meta": ["\x1b[2J\nein", "\u0000"]}), 6)
    assert "\x1b" not in nasty
    assert "\x00" not in nasty
    assert "\ufffd" in nasty
    assert samples(Results("toy", "d", "test", make_results().rows, [], [], {}, {}), 6) == ""


class Page(HTMLParser):
    """Notes tags left open, addresses, tags, and the text."""

    VOID = ("meta", "img", "source", "br", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def addresses(self) -> list[str]:
        return [str(found[key]) for _, found in self.tags for key in ("src", "href", "srcset") if key in found]


def png_size(data: bytes) -> tuple[int, int]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data[-8:-4] == b"IEND"
    return struct.unpack(">II", data[16:24])


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


def test_curves_go_on_where_the_stage_before_ended(run: Run, tmp_path: Path) -> None:
    joint, meta = training_curves(run)
    assert (joint.stage, joint.began, joint.ended) == ("joint", 0, 20)
    assert joint.lines == {"loss": Line([10, 20], [4.0, 2.0]), "valid_loss": Line([20], [3.0])}
    assert (meta.after, meta.began, meta.ended) == ("joint", 20, 120)
    assert meta.lines["loss"] == Line([70, 120], [1.5, 1.0])
    assert meta.lines["valid_loss_adapted"] == Line([120], [1.0])
    for stage in ("joint", "meta"):
        (run.folder / stage / "metrics.jsonl").unlink()
    assert training_curves(run) == []
    page = Page(write_report(make_results(), run, tmp_path / "report").read_text())
    assert not (tmp_path / "report" / "curve.png").exists()
    assert "no learning curve" in page.text


def test_smoothed_by_hand() -> None:
    assert smoothed([1.0, 4.0, 7.0, 1.0]) == [1.0, 4.0, 4.0, 1.0]
    assert smoothed([1.0, float("nan"), 7.0]) == [1.0, 4.0, 7.0]
    assert smoothed([2.0]) == [2.0]


def test_places_of_shots() -> None:
    assert shot_places([0, 4, 16, 64]) == {4: 2.0, 16: 4.0, 64: 6.0, 0: 0.0}
    assert shot_places([0, 4]) == {4: 2.0, 0: 1.0}
    assert shot_places([0]) == {0: 0.0}


def test_labels_do_not_overlap() -> None:
    assert apart([10.0, 50.0], 5) == [10.0, 50.0]
    assert apart([50.0, 51.0, 10.0], 5) == [48.0, 53.0, 10.0]
    placed = sorted(apart([1.0, 2.0, 3.0, 8.0], 4))
    assert min(b - a for a, b in pairwise(placed)) >= 4


def test_plot_shows_the_rows() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    places = {0: 0.0, 4: 2.0, 64: 6.0}
    draw_metric(axes, everywhere(make_results(), "chrF"), places, {"joint": "#111111", "meta": "#222222"})
    assert [list(line.get_ydata()) for line in axes.lines] == [[20, 40, 60], [10, 50, 60.04]]
    assert [path.vertices[:, 1].tolist() for path in axes.collections[0].get_paths()] == [
        [18, 21.5], [38, 41.5], [58, 61.5],
    ]  # fmt: skip
    assert {label.get_text(): label.get_color() for label in axes.texts} == {
        "joint": "#111111",
        "meta": "#222222",
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "4", "64"]


def test_letters_without_a_shape_are_not_drawn() -> None:
    assert drawable("zulu-ŋ 始") == "zulu-ŋ ?"
    assert len(LIGHT.stages) == len(set(LIGHT.stages))
    assert LIGHT.of(len(LIGHT.stages)) == LIGHT.of(0)
