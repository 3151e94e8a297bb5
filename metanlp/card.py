"""The README.md of an Adaptation, as the Hugging Face Hub wants a model card: what it is, made of what, and how good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metanlp.backbones._text_to_text import TARGET
from metanlp.data.types import Example

if TYPE_CHECKING:
    from metanlp.adaptation import Adaptation
    from metanlp.data.collection import CollectionFacts
    from metanlp.run import Parts, Run

HUB_DATASET = re.compile(r"huggingface\.co/datasets/([\w.-]+/[\w.-]+)")
LICENCES = (  # those that the Hub knows; any other is "other", with a name
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "odc-by", "odbl", "gpl-3.0"),
    *(f"cc-by{kind}-{version}" for kind in ("", "-sa", "-nc", "-nc-sa", "-nd") for version in ("2.0", "3.0", "4.0")),
)

TEXT = """# {name}

An adaptation of {base} to one task, `{name}`. A start that metanlp had trained to learn from few examples learnt it from
{examples} of them.

| | |
|---|---|
| what it is | {what} |
| examples (shots) | {examples} |
| steps of adapting | {choice} |
| the start | stage `{stage}` with the id `{run_id}` |
{facts}
## Data

The start was trained on the task collection `{collection}`: {source}. Licence: {licence}.{attribution} The
licence of the pretrained model, where there is one, holds as well.

The {examples} examples that it was adapted to are not in this folder. Whoever publishes it says here what they are, and under
which licence.

## Scores

{scores}

## How to use it

With metanlp and the run that it was made from (`RUN`; any other is refused):

```python
import metanlp

{usage}
```

{plain}

Of `a text` the model reads this, which metanlp writes itself:

```
{prompt}
```

## Intended use and limits

{intended} It was not made to give medical, legal or safety-critical information,
nor to judge people. What was in the examples may come back word for word: publish it only if they may be published.
"""

WITH_PEFT = """With plain PEFT:

```python
from peft import PeftModel
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("{base}")
model = PeftModel.from_pretrained(model, "this folder, or its name on the Hub")
tokenizer = AutoTokenizer.from_pretrained("{base}"){target}
```"""

WITH_TRANSFORMERS = """With plain transformers:

```python
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained("this folder, or its name on the Hub")
tokenizer = AutoTokenizer.from_pretrained("this folder, or its name on the Hub"){target}
```"""
WITH_TARGET = """  # of what is read
target_tokenizer = AutoTokenizer.from_pretrained("{where}", subfolder="{folder}")  # of what is written"""


def model_card(run: Run, parts: Parts, made: Adaptation) -> str:
    """The text of the card, its data in front."""
    from huggingface_hub import ModelCardData

    facts, base = parts.collection.facts, base_on_the_hub(run)
    adapter = run.fast_weights.beside_a_base
    data = ModelCardData(
        base_model=base,
        library_name="peft" if adapter else "transformers",
        pipeline_tag=run.recipe.task.pipeline_tag,
        language=_languages(made.task_info) or None,
        tags=["metanlp", "meta-learning", "few-shot"],
        datasets=HUB_DATASET.findall(facts.source) or None,
        metrics=sorted({_metric(each) for each in made.scores}) or None,
        model_name=made.name,
        eval_results=_results(made, run.recipe.task.pipeline_tag) or None,
        **_licence(facts),
    )
    text = TEXT.format(
        name=made.name,
        base=f"`{base}`" if base else f"a model of the recipe's own (`{run.recipe.backbone.kind}`)",
        what="a PEFT adapter (LoRA)" if adapter else "a whole model",
        examples=made.examples,
        choice=made.choice,
        stage=run.stage,
        run_id=made.run_id,
        facts="".join(f"| {key} | {value} |\n" for key, value in made.task_info.items()),
        collection=parts.collection.path.name,
        source=facts.source,
        licence=facts.licence,
        attribution=f" Attribution: {facts.attribution}." if facts.attribution else "",
        scores=_scores(made),
        plain=_plain(run, parts, adapter),
        usage=run.recipe.task.usage,
        prompt=parts.backbone.reading_of(run.recipe.task.prompt_of(made.name, made.task_info, Example("a text", ""))),
        intended=run.recipe.task.intended,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def base_on_the_hub(run: Run) -> str | None:
    """The backbone's name on the Hub; None where it is a folder of this machine, which nobody else has."""
    return None if Path(run.base).exists() else run.base


def _plain(run: Run, parts: Parts, adapter: bool) -> str:
    """How the libraries that metanlp stands on load it."""
    base, folder = base_on_the_hub(run), Path(run.base)
    if base is None:  # said without this machine's folders
        home = run.folder.resolve()
        base = f"RUN/{folder.relative_to(home).as_posix()}" if folder.is_relative_to(home) else f"your {folder.name}"
    where = base if adapter else "this folder, or its name on the Hub"
    two = parts.backbone.target_tokenizer is not parts.backbone.tokenizer
    target = WITH_TARGET.format(where=where, folder=TARGET) if two else ""
    auto = "AutoModelForSeq2SeqLM" if parts.backbone.model.config.is_encoder_decoder else "AutoModelForCausalLM"
    return (WITH_PEFT if adapter else WITH_TRANSFORMERS).format(base=base, target=target, auto=auto)


def _scores(made: Adaptation) -> str:
    if not made.scores:
        return "Not measured. Examples marked `query` in the file that `metanlp adapt` reads would have measured it."
    rows = [
        f"| {metric} | {score['value']:.1f} | {score['examples']} | `{score['signature']}` |"
        for metric, score in made.scores.items()
    ]
    head = "| metric | score | examples | signature |\n|---|---|---|---|\n"
    return "On examples of the same task that it did not learn from:\n\n" + head + "\n".join(rows)


def _results(made: Adaptation, tag: str) -> list[Any]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=tag,
            dataset_type=made.name,
            dataset_name=f"{score['examples']} examples that it did not learn from",
            metric_type=_metric(metric),
            metric_name=metric,
            metric_value=round(score["value"], 2),
            metric_config=score["signature"],
        )
        for metric, score in made.scores.items()
    ]


def _metric(name: str) -> str:
    """As the Hub calls it, which knows one chrF."""
    return name.lower().removesuffix("++")


def _languages(info: Mapping[str, Any]) -> list[str]:
    """The languages without their script or territory, as the Hub lists them: `zul` of `zul_Latn`."""
    codes = [str(info.get(key, "")) for key in ("source_language", "target_language")]
    found = [re.fullmatch(r"([a-z]{2,3})(?:[_@-]\w+)*", code) for code in codes]
    return list(dict.fromkeys(match[1] for match in found if match))


def _licence(facts: CollectionFacts) -> dict[str, Any]:
    known = facts.licence.strip().lower().replace(" ", "-")
    if known in LICENCES:
        return {"license": known}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", known).strip("-")}
