"""Verbs that learn and measure: train, adapt, evaluate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metanlp.cli._app import Info, Overrides, RecipeName, RunPath, app, facts_of, numbers_of, quiet
from metanlp.errors import UserError

if TYPE_CHECKING:
    from metanlp.config.recipe import Evaluation
    from metanlp.run import Run

Shots = Annotated[str | None, typer.Option(help="numbers of examples, as 0,4,16  [default: the recipe's]")]
EvaluationFields = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change fields of the recipe's `evaluation`, as queries=20"),
]
Workers = Annotated[int | None, typer.Option(min=1, help="processes  [default: the cores; 1 with a GPU]")]


@app.command()
def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="the run's folder  [default: runs/<recipe>]")] = None,
) -> None:
    """Meta-train; the same command goes on where it was stopped.

    Several GPUs or hosts: accelerate launch -m metanlp train RECIPE
    """
    from metanlp.config import load_recipe
    from metanlp.data.row_forms import form_of

    loaded = load_recipe(recipe, *overrides or [])
    folder = out or Path("runs") / recipe.removesuffix(".yaml").removesuffix(".yml").replace("/", "-").lstrip(".-")
    from metanlp.training import meta_train

    quiet()
    meta_train(loaded, folder)
    if os.environ.get("RANK", "0") == "0":
        print(f"trained {folder}\n  measure it:  metanlp evaluate {folder}")
        print(f"  adapt it:    metanlp adapt {folder} examples{form_of(loaded.task.kind).formats[0]} --name NAME")


@app.command()
def adapt(
    run: RunPath,
    examples: Annotated[
        Path, typer.Argument(help="a TSV or JSONL file with source and target, or the JSONL file of a person's replies")
    ],
    name: Annotated[str, typer.Option(help="what to call the adaptation")],
    info: Info = None,
) -> None:
    """Adapt a run to a few examples.

    The number of steps is chosen on a part of the examples that is held out; then all are learnt from. Examples whose column
    `pool` says query are not: they measure the adaptation.
    """
    from metanlp.adaptation import adapt as adapt_run
    from metanlp.adaptation import adaptation_folder
    from metanlp.data.readers import read_file
    from metanlp.data.row_forms import form_of
    from metanlp.evaluation import measure
    from metanlp.run import Run

    opened = Run.open(run)
    folder = adaptation_folder(opened, name)
    kept, rejected = read_file(examples, form=form_of(opened.recipe.task.kind))
    for row in rejected:
        print(f"left out {row.file}:{row.line}: {row.reason}: {row.text}", file=sys.stderr)
    support = [example for example in kept if example.pool != "query"]
    queries = [example for example in kept if example.pool == "query"]
    if not support:
        out = f"; {len(rejected)} rows were left out" if rejected else ""
        raise UserError(f"{examples} has no examples to adapt {name!r} to{out}")
    quiet()
    parts = opened.trained()
    made = adapt_run(opened, support, name=name, info=facts_of(info), parts=parts, show=True)
    print(f"adapted {name} from {made.examples} examples in {made.choice}")
    if queries:
        measured = measure(opened, parts, name, queries)
        scores = ", ".join(f"{metric} {score['value']:.1f}" for metric, score in measured.scores.items())
        print(f"on {len(queries)} examples marked query, which it did not learn from: {scores}")
    print(f"wrote {folder}\n  use it:  {opened.recipe.task.next_step.format(run=run, name=name)}")


@app.command()
def tune(
    run: RunPath,
    split: Annotated[str, typer.Option(help="validation tasks; never those of the final evaluation")] = "valid",
    shots: Shots = None,
    rates: Annotated[
        str | None, typer.Option(help="learning rates, as 1e-4,1e-3  [default: parts of the recipe's]")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="numbers of steps, as 5,20,60  [default: parts of the recipe's]")
    ] = None,
    overrides: EvaluationFields = None,
    workers: Workers = None,
) -> None:
    """Choose on validation tasks how a run adapts.

    Every stage that is evaluated tries the same learning rates and numbers of steps, at every number of shots. `evaluate`
    and `adapt` go by what was the best.
    """
    from metanlp.run import Run
    from metanlp.tuning import choices_table
    from metanlp.tuning import tune as tune_run

    opened = Run.open(run)
    options = _options(opened, run, shots, overrides)
    quiet()
    chosen = tune_run(
        opened,
        split=split,
        options=options,
        rates=numbers_of(rates, float, "--rates"),
        steps=numbers_of(steps, int, "--steps"),
        workers=workers or worker_count(),
        show=True,
    )
    print(choices_table(chosen, options.metrics[0]))


@app.command()
def evaluate(
    run: RunPath,
    against: Annotated[list[str] | None, typer.Option(metavar="RUN2", help="another run, on the same episodes")] = None,
    split: Annotated[str, typer.Option(help="valid while you choose, test once at the end")] = "test",
    shots: Shots = None,
    overrides: EvaluationFields = None,
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="the report's folder  [default: RUN/report]")] = None,
) -> None:
    """Measure a run on tasks it never saw, by number of examples.

    Prints tables with intervals and paired comparisons, and writes them with plots as a page and as JSON.
    """
    from metanlp.evaluation import evaluate as evaluate_run
    from metanlp.report import samples, tables, write_report
    from metanlp.run import Run

    opened = Run.open(run)
    options = _options(opened, run, shots, overrides)
    quiet()
    count = workers or worker_count()
    results = evaluate_run(opened, split=split, options=options, against=against or (), workers=count, show=True)
    place = (opened.folder if _whole(opened, run) else opened.place) / (
        "report" if split == "test" else f"report-{split}"
    )
    page = write_report(results, opened, out or place)
    for metric in results.metrics():
        print(tables(results, metric))
    print(samples(results))
    print(f"results: {page.with_name('results.json')}\nreport:  {page}")


def _options(opened: Run, named: str, shots: str | None, overrides: list[str] | None) -> Evaluation:
    """The recipe's `evaluation` with what the command line changes of it; of one stage where that was named."""
    from metanlp.config.load import changed

    wanted = [*(overrides or []), *([f"shots=[{shots}]"] if shots else [])]
    wanted += [] if _whole(opened, named) else [f"stages=[{opened.stage}]"]
    return changed(opened.recipe.evaluation, *wanted, subject="evaluation")


def _whole(opened: Run, named: str) -> bool:
    """Whether a run was named, and not one of its stages."""
    return Path(named).resolve() == opened.folder.resolve()


def worker_count() -> int:
    import torch

    from metanlp.doctor import cores

    return 1 if torch.cuda.is_available() else cores()
