"""People, judged: examples and persona sentences in the prompt of a causal model, beside adapting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from entailment_model import LABELS, save_model
from makers import plain_recipe
from prompted_people import PERSONA, measured, plain_perplexity, shown_by_hand, write_talkers

from metanlp.config.load import build_recipe
from metanlp.config.recipe import Evaluation
from metanlp.consistency import Entailment
from metanlp.data.sampler import evaluation_episode
from metanlp.data.types import Episode, Example, Prompt
from metanlp.errors import UserError
from metanlp.prompting import prompts_with
from metanlp.report import tables, write_report
from metanlp.results import PROMPTED
from metanlp.run import Parts, Run
from metanlp.tasks.translation import Translation
from metanlp.training import meta_train


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("people")
    raw = plain_recipe(home) | {"fast_weights": request.param}
    raw["task"] = {"kind": "dialogue", "collection": str(write_talkers(home / "people")), "system": "Reply."}
    raw["backbone"] = {
        "kind": "tiny_causal", "pieces": "char", "vocabulary": 300, "width": 16, "heads": 2, "feed_forward": 16,
        "layers": 1, "max_length": 200,
    }  # fmt: skip
    raw["evaluation"] = {"shots": [0, 1, 3], "queries": 3, "max_new_tokens": 6, "metrics": ["perplexity"]}
    return Run.open(meta_train(build_recipe(raw), home / "run"))


def episode_of(run: Run, name: str, shots: int) -> Episode:
    most = 1 if name == "cy" else 3
    return evaluation_episode(run.prepare().split("test"), name, shots, 0, queries=3, max_shots=most)


def test_numbers_of_dialogues_leave_people_out_and_differ_in_examples(run: Run) -> None:
    results = measured(run)
    assert [results.tasks("perplexity", shots) for shots in (0, 1, 3)] == [
        ["ann", "bob", "cy"], ["ann", "bob", "cy"], ["ann", "bob"],
    ]  # fmt: skip
    assert [len(episode_of(run, name, 3).support) for name in ("ann", "bob")] == [6, 4]
    assert "tasks" in tables(results, "perplexity")


def test_rows_of_the_untrained_backbone_are_those_of_plain_transformers(run: Run, tmp_path: Path) -> None:
    results = measured(run, "prompting=[fit, nearest, persona]", "shown=2")
    rows = {(row.stage, row.task, row.shots): row for row in results.rows if row.stage.startswith(PROMPTED)}
    people = {0: [*PERSONA], 1: ["ann", "bob", "cy"], 3: ["ann", "bob"]}
    ways = {"persona": [0], "fit": [1, 3], "nearest": [1, 3]}
    assert {key for key in rows if key[1]} == {
        (f"{PROMPTED} ({way})", name, shots)
        for way, numbers in ways.items()
        for shots in numbers
        for name in people[shots]
    }
    family, backbone = run.recipe.task, run.build("cpu", untrained=True).backbone
    for (stage, name, shots), row in rows.items():
        if name is None:
            continue
        episode, way = episode_of(run, name, shots), stage.split("(")[1][:-1]
        prompts = [shown_by_hand(way, family, backbone, episode, query) for query in episode.query]
        assert row.value == pytest.approx(plain_perplexity(run, prompts), rel=1e-4)
        assert (row.algorithm, row.passes) == ("none", 0)
    assert {(each.stage, each.baseline) for each in results.comparisons} == {
        (f"{PROMPTED} ({way})", "meta") for way in ways
    }
    page = write_report(results, run, tmp_path / "report").read_text(encoding="utf-8")
    assert "prompting=[fit, nearest, persona]" in page
    assert "zero-shot prompted (persona) (2 tasks)" in tables(results, "perplexity")


def test_prompting_goes_with_every_other_metric(run: Run) -> None:
    """Rows of the untrained backbone have no adaptations that could be told apart."""
    results = measured(run, "shots=[0, 1]", "prompting=[nearest]", "metrics=[chrF, who_is_it, distinct-1]", "among=2")
    assert results.metrics() == ["chrF", "who_is_it", "distinct-1"]
    stages = {metric: {row.stage for row in results.rows if row.metric == metric} for metric in results.metrics()}
    both = {"meta", f"{PROMPTED} (nearest)"}
    assert stages == {"chrF": both, "who_is_it": {"meta"}, "distinct-1": both}
    assert "who_is_it" in tables(results, "who_is_it")


def test_as_many_examples_as_fit(run: Run) -> None:
    """One more would be cut off; a query that is too long by itself gets none."""
    parts, family = run.build("cpu", untrained=True), run.recipe.task
    backbone = parts.backbone
    support = [Example(f"what is {number}", f"it is {number}", group="1") for number in range(40)]
    queries = [
        Example("and now, after all of this", "yes", group="2"),
        Example("long " * 60, "no", group="2"),
        Example("x", "y", group="2"),
    ]
    prompts = prompts_with(
        "fit", family, backbone, Episode("zoe", {}, support, queries, 0), Evaluation(max_new_tokens=20)
    )
    shown = [(len(prompt.turns) - 1) // 2 for prompt in prompts]
    assert shown[1] == 0
    assert 1 < shown[0] < shown[2] < 40
    assert prompts[0].turns[0] == f"what is {40 - shown[0]}"  # the latest
    assert backbone.cut(prompts, max_new_tokens=20) == [False, True, False]
    more = [
        family.prompt_shown("zoe", {}, query, support[-count - 1 :])
        for query, count in zip(queries, shown, strict=True)
    ]
    assert backbone.cut(more, max_new_tokens=20) == [True, True, True]
    read = first_read(parts, prompts, 20)
    assert f"what is {40 - shown[0]}" in read[0]
    assert f"what is {40 - shown[2]}" in read[2]


def first_read(parts: Parts, prompts: list[Prompt], most: int) -> list[str]:
    """What goes into the model, as text, before it writes at most so many pieces."""
    seen: list[torch.Tensor] = []
    entrance = parts.backbone.model.get_input_embeddings()
    hook = entrance.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with parts.learner.using(parts.learner.spread(1)):
        parts.backbone.generate([prompts], max_new_tokens=most)
    hook.remove()
    return list(parts.backbone.tokenizer.batch_decode(seen[0]))


def test_prompted_rows_may_read_more_than_the_others(run: Run) -> None:
    """Nothing else changes: the adapted rows, and those prompted rows that had room enough."""
    results = [measured(run, "prompting=[fit]", "shots=[0, 3]", *room) for room in ([], ["prompt_length=120"])]
    values = [{(row.stage, row.task, row.shots): row.value for row in each.rows} for each in results]
    differing = {
        stage
        for (stage, *_) in values[0]
        if any(values[0][key] != values[1][key] for key in values[0] if key[0] == stage)
    }
    assert differing == {f"{PROMPTED} (fit)"}


def test_the_nearest_stand_last_and_are_at_most_so_many(run: Run) -> None:
    backbone, family = run.build("cpu", untrained=True).backbone, run.recipe.task
    support = [Example(text, text[0], group="1") for text in ("green tea", "a dog", "my dogs", "rain", "the dogs bark")]
    episode = Episode("zoe", {}, support, [Example("the dogs", "yes", group="2")], 0)
    (prompt,) = prompts_with("nearest", family, backbone, episode, Evaluation(shown=2))
    assert prompt.turns == ("my dogs", "m", "the dogs bark", "t", "the dogs")


def test_c_is_measured_where_there_are_persona_sentences(run: Run, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "nli", LABELS)
    results = measured(run, f"nli={folder}", "metrics=[distinct-1]", "shots=[0, 1]")
    assert results.metrics() == ["distinct-1", "C"]
    assert results.tasks("C") == [*PERSONA]
    judge = Entailment.load(str(folder))
    predictions = {(each.task, each.shots): each.predictions for each in results.predicted}
    for row in results.rows:
        if row.metric == "C" and row.task:
            assert row.value == judge.consistency(predictions[row.task, row.shots], PERSONA[row.task]).value
            assert len(predictions[row.task, row.shots]) == len(episode_of(run, row.task, 0).query)


def test_persona_sentences_that_nobody_has_are_told(make_recipe: Callable[..., Any], tmp_path: Path) -> None:
    run = Run.open(meta_train(make_recipe(), tmp_path / "run"))
    assert isinstance(run.recipe.task, Translation)
    for change, asked in (("prompting=[persona]", r"prompting: \[persona\]"), ("nli=x", "nli")):
        with pytest.raises(UserError, match=f"evaluation.{asked} needs persona sentences, .* none for any task"):
            measured(run, change)


def test_translations_are_prompted_too(make_recipe: Callable[..., Any], tmp_path: Path) -> None:
    run = Run.open(meta_train(make_recipe(), tmp_path / "run"))
    results = measured(run, "prompting=[nearest, fit]", "metrics=[chrF, perplexity]")
    parts = run.build("cpu", untrained=True)
    (found,) = [each for each in results.predicted if (each.stage, each.task) == (f"{PROMPTED} (fit)", "c10")]
    episode = evaluation_episode(run.prepare().split("test"), "c10", 4, 0, queries=4, max_shots=4)
    shown = "".join(f"{example.source}\n{example.target}\n\n" for example in episode.support)
    prompts = [Prompt(shown + example.source, example.target) for example in episode.query]
    with parts.learner.using(parts.learner.spread(1)):
        (texts,) = parts.backbone.generate([prompts], max_new_tokens=8)
    assert found.predictions == texts
