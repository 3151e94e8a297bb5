"""Learning curves and values by shots: what is drawn, and where."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from made_results import BASE, SMALL, make_results
from pages import Page

from metanlp.report import write_report
from metanlp.report.curves import Line, smoothed, training_curves
from metanlp.report.drawing import LIGHT, drawable
from metanlp.report.shots_plot import apart, draw_metric, everywhere, shot_places, title_of
from metanlp.run import Run


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


def test_a_plot_of_perplexities_does_not_begin_at_0() -> None:
    from matplotlib.figure import Figure

    colours = {"joint": "#111111", "meta": "#222222"}
    for metric, begins_at_0 in (("perplexity", False), ("chrF", True)):
        results = make_results(metrics=[metric], shots=[4, 64], base={})  # 30 throughout
        axes = Figure().subplots()
        draw_metric(axes, everywhere(results, metric), {4: 2.0, 64: 6.0}, colours)
        assert (axes.get_ylim()[0] == 0) == begins_at_0
        assert title_of(results, metric) == metric + (" (lower is better)" if metric == "perplexity" else "")


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


def test_places_of_shots() -> None:
    assert shot_places([0, 4, 16, 64]) == {4: 2.0, 16: 4.0, 64: 6.0, 0: 0.0}
    assert shot_places([0, 4]) == {4: 2.0, 0: 1.0}
    assert shot_places([0]) == {0: 0.0}


def test_labels_do_not_overlap() -> None:
    assert apart([10.0, 50.0], 5) == [10.0, 50.0]
    assert apart([50.0, 51.0, 10.0], 5) == [48.0, 53.0, 10.0]
    placed = sorted(apart([1.0, 2.0, 3.0, 8.0], 4))
    assert min(b - a for a, b in pairwise(placed)) >= 4


def test_letters_without_a_shape_are_not_drawn() -> None:
    assert drawable("zulu-ŋ 始") == "zulu-ŋ ?"
    assert len(LIGHT.stages) == len(set(LIGHT.stages))
    assert LIGHT.of(len(LIGHT.stages)) == LIGHT.of(0)
