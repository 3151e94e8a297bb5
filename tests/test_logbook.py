"""metrics.jsonl through writing, kills and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metanlp.logbook import Logbook, read_logbook


def open_book(path: Path, step: int = 0, seconds: float = 0.0, tracked: list | None = None) -> Logbook:
    track = (lambda values, at: tracked.append((values, at))) if tracked is not None else lambda values, at: None
    return Logbook(path, track, "meta", step, seconds)


def test_lines_are_written_at_once_and_tracked(tmp_path: Path) -> None:
    path, tracked = tmp_path / "deep" / "metrics.jsonl", []
    book = open_book(path, tracked=tracked)
    book.write(1, 8, {"loss": 2.5})
    book.write(2, 16, {"loss": 1.5, "norm": 0.1})
    assert [{**line, "seconds": 0} for line in read_logbook(path)] == [
        {"step": 1, "passes": 8, "seconds": 0, "loss": 2.5},
        {"step": 2, "passes": 16, "seconds": 0, "loss": 1.5, "norm": 0.1},
    ]
    assert tracked == [({"meta/loss": 2.5}, 1), ({"meta/loss": 1.5, "meta/norm": 0.1}, 2)]


@pytest.mark.parametrize("torn", ["", '{"step": 5, "pass', '{"step"', "\n", '{"step": 4, "passes": 1}'])
def test_a_resume_drops_what_came_after_its_checkpoint(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    book = open_book(path)
    for step in (1, 2, 3, 4):
        book.write(step, step, {"loss": 1 / step})
    with path.open("a") as file:
        file.write(torn)
    book = open_book(path, step=2)
    assert [line["step"] for line in read_logbook(path)] == [1, 2]
    for step in (3, 4, 5):
        book.write(step, step, {"loss": 1 / step})
    assert [line["step"] for line in read_logbook(path)] == [1, 2, 3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_reading_leaves_out_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_logbook(path) == []
    path.write_text('{"step": 1}\n{"step": 2')
    assert read_logbook(path) == [{"step": 1}]


def test_time_goes_on_over_resumes(tmp_path: Path) -> None:
    book = open_book(tmp_path / "metrics.jsonl", seconds=100.0)
    assert 100 <= book.seconds < 101
    book.write(1, 1, {})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["seconds"] >= 100
