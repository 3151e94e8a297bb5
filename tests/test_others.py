"""What adapting costs other tasks: measured on the same examples of training tasks, whatever was adapted to."""

from __future__ import annotations

from pathlib import Path

import pytest
from makers import plain_recipe, write_collection

from metanlp.config.load import build_recipe, changed
from metanlp.evaluation import evaluate
from metanlp.metrics import score
from metanlp.others import EXAMPLES, others_of
from metanlp.results import OF_OTHERS
from metanlp.run import Run
from metanlp.training import meta_train


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("others")
    raw = plain_recipe(write_collection(home / "ciphers"))
    raw |= {"fast_weights": request.param, "adapting": {"steps": 5, "learning_rate": 0.05, "batch": 4}}
    return Run.open(meta_train(build_recipe(raw), home / "run"))


def test_they_are_the_same_for_every_task_and_without_adapting_the_starts_own(run: Run) -> None:
    options = changed(run.recipe.evaluation, "others=2", "shots=[0, 4]", subject="evaluation")
    results = evaluate(run, split="valid", options=options)
    parts = run.trained("cpu")
    others = others_of(run, parts.collection, 2, 0)
    training = {
        example.target
        for name in parts.collection.split("train").names
        for example in parts.collection.split("train").task(name).examples
    }
    assert len(others.references) == 2 * EXAMPLES
    assert set(others.references) <= training
    assert all(each.other_references == others.references for each in results.predicted)
    with parts.learner.using(parts.learner.spread(1)):
        (plain,) = parts.backbone.generate([others.prompts], max_new_tokens=options.max_new_tokens)
    start = score("chrF", plain, others.references)
    for row in results.rows:
        if row.metric == OF_OTHERS and row.shots == 0:
            assert row.value == pytest.approx(start.value, abs=1e-9)
            assert row.signature == start.signature
    adapted = [each.other_predictions for each in results.predicted if each.shots == 4]
    assert all(len(texts) == len(plain) for texts in adapted)
    assert any(texts != plain for texts in adapted)
    assert {row.metric for row in results.rows} == {*options.metrics, OF_OTHERS}


def test_a_run_of_another_seed_is_asked_for_the_same(run: Run) -> None:
    other = Run(run.folder, run.recipe.model_copy(update={"seed": 7}), run.stage)
    collection = run.prepare()
    assert others_of(other, collection, 2, 0) == others_of(run, collection, 2, 0) != others_of(run, collection, 2, 1)


def test_nothing_is_measured_unless_asked_for(run: Run) -> None:
    options = changed(run.recipe.evaluation, "shots=[0]", subject="evaluation")
    results = evaluate(run, split="valid", options=options)
    assert OF_OTHERS not in results.metrics()
    assert all(not each.other_predictions for each in results.predicted)


def test_there_are_as_many_as_there_are_training_tasks(run: Run) -> None:
    collection = run.prepare()
    everything = others_of(run, collection, 1000, 0)
    assert len(everything.references) == EXAMPLES * len(collection.split("train"))
    assert others_of(run, collection, 2, 0).references == everything.references[: 2 * EXAMPLES]


def test_the_report_tells_of_them_and_how_to_repeat_it(run: Run, tmp_path: Path) -> None:
    from metanlp.report import tables, write_report

    options = changed(run.recipe.evaluation, "others=2", "shots=[0, 4]", subject="evaluation")
    results = evaluate(run, split="valid", options=options)
    assert "chrF of others, mean over 2 valid tasks" in tables(results, OF_OTHERS)
    page = write_report(results, run, tmp_path / "report").read_text(encoding="utf-8")
    assert "chrF of others" in page
    assert "--set others=2" in page
