"""People whose dialogues are left out in turn: one score a person, over all of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import plain_recipe
from prompted_people import DIALOGUES, PERSONA, measured, plain_perplexity, shown_by_hand, write_talkers

from metanlp.config.load import build_recipe, changed
from metanlp.data.types import Episode, Example, Prompt
from metanlp.errors import UserError
from metanlp.evaluation import evaluate
from metanlp.metrics import score
from metanlp.others import others_of
from metanlp.report import tables, write_report
from metanlp.results import PROMPTED
from metanlp.run import Run
from metanlp.training import meta_train
from metanlp.tuned import TUNED
from metanlp.tuning import tune

STEPS, RATE = 3, 0.5
LEAVING_OUT = ("protocol=leave_one_out", "shots=[0, 10]", "metrics=[perplexity, chrF]")


@pytest.fixture(scope="module", params=["lora", "full"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Adapts by plain gradient steps on all examples at once."""
    home = tmp_path_factory.mktemp("left-out")
    raw = plain_recipe(home) | {"fast_weights": request.param}
    people = write_talkers(home / "people")
    (people / "valid").mkdir()
    (people / "valid" / "gil.jsonl").write_text((people / "test" / "cy.jsonl").read_text())
    raw["task"] = {"kind": "dialogue", "collection": str(people), "system": "Reply."}
    raw["backbone"] = {
        "kind": "tiny_causal", "pieces": "char", "vocabulary": 300, "width": 16, "heads": 2, "feed_forward": 16,
        "layers": 1, "max_length": 200,
    }  # fmt: skip
    raw["adapting"] = {
        "optimizer": "sgd", "learning_rate": RATE, "decay": "none", "steps": STEPS, "batch": 100, "clip": None,
    }  # fmt: skip
    raw["evaluation"] = {"queries": 20, "max_new_tokens": 6, "tasks_per_stack": 4, "batch": 16}
    return Run.open(meta_train(build_recipe(raw), home / "run"))


def dialogues_of(run: Run, person: str) -> list[list[Example]]:
    """Out of the file."""
    path = Path(run.recipe.task.collection) / "test" / f"{person}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    examples = [Example("\n".join(row["history"]), row["reply"], group=row["dialogue"]) for row in rows]
    return [[each for each in examples if each.group == str(number)] for number in range(DIALOGUES[person])]


def episodes_of(run: Run, person: str) -> list[Episode]:
    """By hand: each dialogue, and all the others."""
    info = {"persona": PERSONA[person]} if person in PERSONA else {}
    dialogues = dialogues_of(run, person)
    return [
        Episode(person, info, [each for other in dialogues for each in other if other is not left_out], left_out, 0)
        for left_out in dialogues
    ]


class Plain:
    """The trained model in plain transformers and peft: one chat after another through it, torch's own gradient steps."""

    def __init__(self, run: Run) -> None:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        self.run, self.backbone = run, run.build("cpu", untrained=True).backbone
        if run.fast_weights.stackable:
            base: Any = AutoModelForCausalLM.from_pretrained(run.folder / "backbone")
            self.model: Any = PeftModel.from_pretrained(base, run.model, is_trainable=True)
        else:
            self.model = AutoModelForCausalLM.from_pretrained(run.model)
        self.model.eval()

    def prompt(self, episode: Episode, example: Example) -> Prompt:
        found: Prompt = self.run.recipe.task.prompt_of(episode.task, episode.info, example)
        return found

    def loss(self, prompt: Prompt) -> tuple[torch.Tensor, int]:
        """Of all pieces of the reply, and how many there are."""
        pieces = self.backbone.learnt(prompt)
        labels = torch.tensor([[-100] * len(pieces.before) + pieces.reply])
        loss = self.model(torch.tensor([[*pieces.before, *pieces.reply]]), labels=labels).loss
        return loss * len(pieces.reply), len(pieces.reply)

    def learn(self, episode: Episode) -> None:
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.SGD(weights, lr=RATE)
        for _ in range(STEPS):
            losses, counts = zip(*[self.loss(self.prompt(episode, each)) for each in episode.support], strict=True)
            optimizer.zero_grad()
            (sum(losses) / sum(counts)).backward()
            optimizer.step()

    @torch.no_grad()
    def write(self, prompt: Prompt) -> str:
        assert self.backbone.cut([prompt], max_new_tokens=6) == [False]
        read, written = self.backbone.learnt(prompt).before, []
        while len(written) < 6 and not (written and written[-1] in self.backbone.ends):
            written.append(int(self.model(torch.tensor([[*read, *written]])).logits[0, -1].argmax()))
        return str(self.backbone.text_of(written))


@pytest.mark.parametrize("shots", [0, 10])
def test_a_person_has_one_score_over_all_dialogues(run: Run, shots: int) -> None:
    """By hand: for each dialogue a fresh copy learns from the others, however many; then everything is put together."""
    results = measured(run, *LEAVING_OUT, "others=1")
    others = others_of(run, run.prepare(), 1, 0)
    assert results.tasks("perplexity", shots) == [*DIALOGUES]
    for person in DIALOGUES:
        nats, count, texts, references = 0.0, 0, [], []
        for episode in episodes_of(run, person):
            plain = Plain(run)
            if shots:
                plain.learn(episode)
            for query in episode.query:
                prompt = plain.prompt(episode, query)
                with torch.no_grad():
                    loss, pieces = plain.loss(prompt)
                nats, count = nats + float(loss), count + pieces
                texts.append(plain.write(prompt))
                references.append(query.target)
        (found,) = [each for each in results.predicted if (each.task, each.shots) == (person, shots)]
        assert (found.references, found.predictions) == (references, texts)
        assert found.other_references == others.references * DIALOGUES[person]
        assert len(found.other_predictions) == len(found.other_references)
        rows = {row.metric: row.value for row in results.rows if (row.task, row.shots) == (person, shots)}
        assert rows["perplexity"] == pytest.approx(math.exp(nats / count), rel=1e-4)
        assert rows["chrF"] == score("chrF", texts, references).value
    zero, adapted = (results.overall("meta", count, "perplexity").value for count in (0, 10))
    assert abs(zero - adapted) > 1e-2


def test_prompted_rows_leave_out_the_same(run: Run) -> None:
    results = measured(run, *LEAVING_OUT, "metrics=[perplexity]", "prompting=[persona, nearest]", "shown=2")
    family, backbone = run.recipe.task, run.build("cpu", untrained=True).backbone
    rows = {(row.stage, row.task): row.value for row in results.rows if row.stage.startswith(PROMPTED) and row.task}
    ways = {"persona": [*PERSONA], "nearest": [*DIALOGUES]}
    assert {*rows} == {(f"{PROMPTED} ({way})", person) for way, people in ways.items() for person in people}
    for way, people in ways.items():
        for person in people:
            prompts = [
                shown_by_hand(way, family, backbone, episode, query)
                for episode in episodes_of(run, person)
                for query in episode.query
            ]
            assert rows[f"{PROMPTED} ({way})", person] == pytest.approx(plain_perplexity(run, prompts), rel=1e-4)


def test_some_dialogues_are_enough_for_a_slow_machine(run: Run, tmp_path: Path) -> None:
    results = measured(run, *LEAVING_OUT, "folds=2", "queries=1")
    for each in results.predicted:
        lasts = [dialogue[-1].target for dialogue in dialogues_of(run, each.task)]
        assert len(each.references) == 2
        assert set(each.references) <= set(lasts)
    asked = {(each.task, tuple(each.references)) for each in results.predicted}
    assert len(asked) == len(DIALOGUES)  # at every number of shots the same
    assert "2 queries each; up to 2 dialogues of a task left out in turn; seed 0" in tables(results, "perplexity")
    page = write_report(results, run, tmp_path / "report").read_text(encoding="utf-8")
    assert "protocol=leave_one_out" in page
    assert "folds=2" in page
    everyone = tables(measured(run, *LEAVING_OUT, "metrics=[chrF]"), "chrF")
    assert "queries each; every dialogue of a task left out in turn; seed 0" in everyone


def test_tuning_leaves_out_too(run: Run) -> None:
    """At a number of shots that nobody has so many dialogues for."""
    options = changed(run.recipe.evaluation, *LEAVING_OUT, subject="evaluation")
    (choice,) = tune(run, options=options, rates=[RATE], steps=[STEPS])["meta"]
    (run.place / TUNED).unlink()
    rows = [
        row
        for row in evaluate(run, split="valid", options=options).rows
        if (row.task, row.metric) == ("gil", options.metrics[0])
    ]
    assert (choice.shots, choice.before, choice.best.value) == (10, *(row.value for row in rows))


def test_what_does_not_go_together_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match="who_is_it needs protocol later"):
        measured(run, "protocol=leave_one_out", "metrics=[chrF, who_is_it]")
    with pytest.raises(UserError, match="folds are for protocol leave_one_out"):
        measured(run, "folds=3")


def test_translations_are_not_left_out(make_recipe: Any, tmp_path: Path) -> None:
    run = Run.open(meta_train(make_recipe(), tmp_path / "run"))
    with pytest.raises(UserError, match="the examples of the split test belong to none; use protocol later"):
        measured(run, "protocol=leave_one_out")
