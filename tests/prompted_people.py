"""People with persona sentences, and how a causal model is prompted with them and judged, by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from metanlp.config.load import changed
from metanlp.data.nearest import Nearest
from metanlp.data.types import Episode, Example, Prompt
from metanlp.evaluation import evaluate
from metanlp.results import Results
from metanlp.run import Run

DIALOGUES = {"ann": 6, "bob": 5, "cy": 3}  # of the test people
PERSONA = {"ann": ["i like cats", "no dogs ."], "bob": ["i hate cats ."]}


def write_talkers(folder: Path) -> Path:
    """Dialogues of one to three replies."""
    names = {"train": {"dan": 5, "eve": 5, "flo": 5}, "test": DIALOGUES}
    for split, people in names.items():
        (folder / split).mkdir(parents=True)
        for person, count in people.items():
            rows = [
                {
                    "dialogue": str(number),
                    "history": [f"line {turn} of {number} to {person}"] * (2 * turn + 1),
                    "reply": reply,
                }
                for number in range(count)
                for turn, reply in enumerate(
                    [f"{person} likes {number}", "cats .", "yes"][: number % (2 if person == "bob" else 3) + 1]
                )
            ]
            (folder / split / f"{person}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    facts = {name: {"persona": sentences} for name, sentences in PERSONA.items()}
    told = "family: dialogue\nlicence: CC0\nsource: a test\nparallel: false\nrepeats: [source, target]\ntasks: "
    (folder / "collection.yaml").write_text(told + json.dumps(facts) + "\n")
    return folder


def measured(run: Run, *changes: str) -> Results:
    return evaluate(run, options=changed(run.recipe.evaluation, *changes, subject="evaluation"))


def plain_perplexity(run: Run, prompts: list[Prompt]) -> float:
    """By the untrained model of plain transformers: the whole chat through it, one at a time, labels for the reply alone."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(run.folder / "backbone").eval()
    backbone = run.build("cpu", untrained=True).backbone
    nats, count = 0.0, 0
    for prompt in prompts:
        pieces = backbone.learnt(prompt)
        labels = torch.tensor([[-100] * len(pieces.before) + pieces.reply])
        with torch.no_grad():
            loss = float(model(torch.tensor([[*pieces.before, *pieces.reply]]), labels=labels).loss)
        nats, count = nats + loss * len(pieces.reply), count + len(pieces.reply)
    return math.exp(nats / count)


def shown_by_hand(way: str, family: Any, backbone: Any, episode: Episode, query: Example) -> Prompt:
    """By going through all numbers of examples, one by one."""
    if way == "persona":
        sentences = "\n".join(PERSONA[episode.task])
        prompt = family.prompt_of(episode.task, {}, query)
        return Prompt(f"{sentences}\n{prompt.input}", prompt.output, turns=prompt.turns, system=f"Reply.\n{sentences}")
    shown = list(episode.support)
    if way == "nearest":
        order = Nearest([example.source for example in shown]).ranked(query.source)[:2]
        shown = [shown[at] for at in reversed(order)]
    prompts = [
        family.prompt_shown(episode.task, episode.info, query, shown[len(shown) - n :]) for n in range(len(shown) + 1)
    ]
    fitting = [prompt for prompt, cut in zip(prompts, backbone.cut(prompts, max_new_tokens=6), strict=True) if not cut]
    return fitting[-1] if fitting else prompts[0]
