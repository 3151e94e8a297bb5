"""Measuring: who is measured where, and that what is compared is the same."""

from __future__ import annotations

import pytest
from makers import plain_recipe, write_collection

from metanlp.config.load import build_recipe, changed
from metanlp.errors import UserError
from metanlp.evaluation import evaluate
from metanlp.results import Results
from metanlp.run import Run
from metanlp.training import meta_train

SIZES = {"c9": 6, "c10": 40, "c11": 21}  # rows, some of which may be repeats


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three test tasks of unequal sizes."""
    home = tmp_path_factory.mktemp("unequal")
    collection = write_collection(home / "ciphers")
    rows = (collection / "test" / "c10.tsv").read_text().splitlines(keepends=True)
    for name, count in SIZES.items():
        (collection / "test" / f"{name}.tsv").write_text("".join(rows[: count + 1]))
    raw = plain_recipe(collection) | {"fast_weights": request.param}
    return Run.open(meta_train(build_recipe(raw), home / "run"))


def measured(run: Run, *changes: str) -> Results:
    return evaluate(run, options=changed(run.recipe.evaluation, *changes, subject="evaluation"))


def test_a_task_is_left_out_where_it_has_too_few_examples(run: Run) -> None:
    results = measured(run, "shots=[0, 5, 16]", "queries=10")
    assert [results.tasks("chrF", shots) for shots in (0, 5, 16)] == [
        ["c10", "c11", "c9"],
        ["c10", "c11", "c9"],
        ["c10", "c11"],
    ]
    assert [results.overall("meta", shots, "chrF").tasks for shots in (0, 5, 16)] == [3, 3, 2]
    asked: dict[str, set[tuple[str, ...]]] = {}
    for each in results.predicted:
        asked.setdefault(each.task, set()).add(tuple(each.sources))
    assert all(len(found) == 1 for found in asked.values())  # the same queries at every number of shots
    sizes = {task: len(queries) for task, (queries,) in asked.items()}
    collection = run.prepare().split("test")
    left = {name: int(collection.sizes[collection.index(name)]) - (5 if name == "c9" else 16) for name in SIZES}
    assert sizes == {name: min(10, count) for name, count in left.items()}


def test_what_a_task_scores_does_not_depend_on_who_else_is_there(run: Run) -> None:
    """c10 can do 16 shots: it is asked the same queries whether or not the column has c9."""
    results, alone = (measured(run, f"shots={shots}", "queries=4") for shots in ("[0, 5, 16]", "[0, 16]"))
    rows = {(row.shots, row.metric): row.value for row in alone.rows if row.task == "c10"}
    assert rows
    assert rows == {(row.shots, row.metric): row.value for row in results.rows if row.task == "c10" and row.shots != 5}


def test_some_of_the_tasks_score_as_among_all(run: Run) -> None:
    results, all_ = (measured(run, "shots=[0, 5]", "queries=4", *some) for some in (["tasks=2"], []))
    rows, wanted = ({(row.task, row.shots): row.value for row in each.rows if row.task} for each in (results, all_))
    assert len({task for task, _ in rows}) == 2
    assert rows == {key: wanted[key] for key in rows}


def test_numbers_that_no_task_can_do_are_refused(run: Run) -> None:
    most = int(run.prepare().split("test").sizes.max()) - 1
    with pytest.raises(UserError, match=f"for 200 shots; the largest number that works is {most}"):
        measured(run, "shots=[0, 200]")
