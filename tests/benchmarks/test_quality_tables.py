"""Tables and verdict of the harness, of numbers that a reader can check."""

from __future__ import annotations

from quality_tables import Measured, summary, verdict

from metanlp.config.recipe import Evaluation
from metanlp.metrics import Score
from metanlp.results import Predicted, results_of
from metanlp.tuned import Candidate, Choice

STAGES = ["joint", "ours"]


def measured(steps: int, validation: dict[str, float], test: dict[str, list[float]]) -> Measured:
    """At 4 shots: what was best on validation tasks, and the perplexity of test tasks a and b; 90 and 92 before adapting."""
    options = Evaluation(stages=STAGES, shots=[0, 4], metrics=["perplexity"])
    predicted = [
        Predicted(
            stage, "joint", task, shots, 0, 7, steps, seconds, [], [], [], [Score("perplexity", value, "by hand")]
        )
        for stage in STAGES
        for shots, values in ((0, [90.0, 92.0]), (4, test[stage]))
        for task, value, seconds in zip("ab", values, (1.0, 2.0), strict=True)
    ]
    facts = {"collection": "toy", "digest": "d1ge57", "split": "test", "environment": {}}
    choices = {stage: [Choice(4, 91.0, Candidate(1e-3, steps, value), [])] for stage, value in validation.items()}
    return Measured(results_of(predicted, options, ["joint"], **facts), [choices])


def found() -> dict[int, Measured]:
    return {
        1: measured(1, {"joint": 30.0, "ours": 10.0}, {"joint": [40.0, 42.0], "ours": [17.0, 18.0]}),
        5: measured(5, {"joint": 20.0, "ours": 12.0}, {"joint": [20.0, 22.0], "ours": [1.0, 2.0]}),
    }


def test_the_best_on_validation_tasks_is_the_lowest_perplexity() -> None:
    (line,) = [line for line in verdict(found()).splitlines() if line.strip().startswith("4 shots")]
    assert "ours after 1 steps - joint after 5: -3.5 [" in line  # 17 - 20 and 18 - 22
    assert line.endswith("joint's score after 5 is reached in 1 steps")  # 17.5 is less than 21
    better = found() | {1: measured(1, {"joint": 30.0, "ours": 13.0}, {"joint": [40.0, 42.0], "ours": [23.0, 18.0]})}
    (line,) = [line for line in verdict(better).splitlines() if line.strip().startswith("4 shots")]
    assert "ours after 5 steps - joint after 5: -19.5 [" in line
    assert line.endswith("is reached in 1 steps")  # 20.5


def test_the_summary_has_a_line_for_every_stage_and_number_of_steps() -> None:
    lines = summary(found()).splitlines()
    assert lines[0] == "| perplexity | 4 shots | seconds to adapt |"
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:4]] for cells in (line.split("|") for line in lines[2:])
    }
    assert list(rows) == [
        *("joint, zero-shot", "ours, zero-shot"),
        *("joint, 1 step", "ours, 1 step", "ours - joint, 1 step"),
        *("joint, 5 steps", "ours, 5 steps", "ours - joint, 5 steps"),
    ]
    assert rows["joint, zero-shot"][0].startswith("91.0 [")
    assert rows["ours, 1 step"][0].startswith("17.5 [")
    assert rows["ours, 1 step"][1] == "1.50"
    assert rows["ours - joint, 5 steps"][0].startswith("-19.5 [")
    assert ", p = " in rows["ours - joint, 5 steps"][0]
