"""The verbs. Each imports what it needs when it is called, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from metanlp.errors import UserError

app = typer.Typer(
    name="metanlp",
    help="Meta-train a transformer over many tasks; adapt it to one more from a few examples.\n\n"
    "Begin with `metanlp recipes`, then `metanlp train demo/numbers`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="a shipped recipe's name, or a .yaml file of your own")
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="change fields, as in stages.meta.train.steps=100")
]
RunPath = Annotated[str, typer.Argument(metavar="RUN", help="a run's folder, or one of its stages: runs/mine/joint")]
Info = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="facts, as target_language=zul_Latn")]


@app.command()
def recipes() -> None:
    """List the shipped recipes and what they are for."""
    from metanlp.config.load import recipe_names, recipe_path

    width = max(map(len, recipe_names()))
    for name in recipe_names():
        text = recipe_path(name).read_text(encoding="utf-8")
        lines = [line[1:].strip() for line in text.splitlines() if line[:1] == "#"]
        print(f"{name:{width}}  {lines[1] if len(lines) > 1 else ''}")


@app.command()
def show(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Print a recipe in full, every field with its help.

    It is what `train` would run, and can be saved as a recipe of your own.
    """
    from metanlp.config import load_recipe
    from metanlp.config.explain import explained

    print(explained(load_recipe(recipe, *overrides or [])), end="")


@app.command()
def copy(
    recipe: RecipeName, target: Annotated[Path, typer.Argument(metavar="MY.yaml", help="the file to write")]
) -> None:
    """Start a recipe of your own from a shipped one."""
    from metanlp.config.load import recipe_path

    if target.suffix not in (".yaml", ".yml"):
        raise UserError(f"{target}: a recipe's file name ends in .yaml")
    if target.exists():
        raise UserError(f"{target} exists already; choose another name or remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    text = recipe_path(recipe).read_text(encoding="utf-8")
    target.write_text(text.replace(f"metanlp train {recipe}\n", f"metanlp train {target}\n", 1), encoding="utf-8")
    print(f"wrote {target}; edit it, then: metanlp check {target}")


@app.command()
def check(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Look for problems without training, and tell all at once.

    In the recipe, the data (leaks too), the tokenizer, and what training will cost.
    """
    from metanlp.checking import check_recipe
    from metanlp.config import load_recipe

    _quiet()
    print(check_recipe(load_recipe(recipe, *overrides or []), recipe))


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

    loaded = load_recipe(recipe, *overrides or [])
    folder = out or Path("runs") / recipe.removesuffix(".yaml").removesuffix(".yml").replace("/", "-").lstrip(".-")
    from metanlp.training import meta_train

    _quiet()
    meta_train(loaded, folder)
    if os.environ.get("RANK", "0") == "0":
        print(f"trained {folder}\n  measure it:  metanlp evaluate {folder}")
        print(f"  adapt it:    metanlp adapt {folder} examples.tsv --name zu")


@app.command()
def adapt(
    run: RunPath,
    examples: Annotated[Path, typer.Argument(help="a TSV or JSONL file with source and target")],
    name: Annotated[str, typer.Option(help="what to call the adaptation")],
    info: Info = None,
) -> None:
    """Adapt a run to a few examples.

    The number of steps is chosen on a part of the examples that is held out; then all are learnt from.
    """
    from metanlp.adaptation import adapt as adapt_run
    from metanlp.adaptation import adaptation_folder
    from metanlp.data.readers import read_file
    from metanlp.run import Run

    opened = Run.open(run)
    folder = adaptation_folder(opened, name)
    kept, rejected = read_file(examples)
    for row in rejected:
        print(f"left out {row.file}:{row.line}: {row.reason}: {row.text}", file=sys.stderr)
    support = [example for example in kept if example.pool != "query"]
    if len(support) < len(kept):
        print(f"left out {len(kept) - len(support)} examples marked query: nothing learns from them", file=sys.stderr)
    _quiet()
    made = adapt_run(opened, support, name=name, info=_facts(info), show=True)
    print(f"adapted {name} from {made.examples} examples in {made.choice}")
    print(f"wrote {folder}\n  use it:  echo ... | metanlp translate {run} --adaptation {name}")


@app.command()
def translate(
    run: RunPath,
    adaptation: Annotated[str | None, typer.Option(help="an adaptation's name  [default: none, the start]")] = None,
    beams: Annotated[int, typer.Option(min=1, help="width of the beam search")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="longest translation, in pieces")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="sentences translated at once")] = 32,
    info: Info = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON object a line, the source in it")] = False,
) -> None:
    """Translate standard input to standard output, line by line."""
    import json as codec
    from itertools import tee

    from metanlp.pipelines.lines import lines_of
    from metanlp.pipelines.translation import TranslationPipeline

    _quiet()
    pipeline = TranslationPipeline(run, adaptation, info=_facts(info))
    if sys.stdin.isatty():
        print("type or paste lines, then Ctrl-D on a line of its own", file=sys.stderr)
    lines, sources = tee(lines_of(sys.stdin.buffer, "standard input"))
    translations = pipeline.stream(lines, num_beams=beams, max_new_tokens=max_new_tokens, batch_size=batch)
    for text, source in zip(translations, sources, strict=True):
        line = {"source": source, "translation": text, "adaptation": adaptation}
        print(codec.dumps(line, ensure_ascii=False) if json else text.replace("\n", " "), flush=True)


@app.command()
def evaluate(
    run: RunPath,
    against: Annotated[list[str] | None, typer.Option(metavar="RUN2", help="another run, on the same episodes")] = None,
    split: Annotated[str, typer.Option(help="valid while you choose, test once at the end")] = "test",
    shots: Annotated[str | None, typer.Option(help="numbers of examples, as 0,4,16  [default: the recipe's]")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change fields")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes  [default: the cores; 1 with a GPU]")] = None,
    out: Annotated[Path | None, typer.Option(help="the report's folder  [default: RUN/report]")] = None,
) -> None:
    """Measure a run on tasks it never saw, by number of examples.

    Prints tables with intervals and paired comparisons, and writes them with plots as a page and as JSON.
    """
    from metanlp.config.load import changed
    from metanlp.evaluation import evaluate as evaluate_run
    from metanlp.report import samples, tables, write_report
    from metanlp.run import Run

    opened = Run.open(run)
    wanted = [*(overrides or []), *([f"shots=[{shots}]"] if shots else [])]
    whole = Path(run).resolve() == opened.folder.resolve()
    wanted += [] if whole else [f"stages=[{opened.stage}]"]
    options = changed(opened.recipe.evaluation, *wanted, subject="evaluation")
    _quiet()
    count = workers or _workers()
    results = evaluate_run(opened, split=split, options=options, against=against or (), workers=count, show=True)
    place = (opened.folder if whole else opened.place) / ("report" if split == "test" else f"report-{split}")
    page = write_report(results, opened, out or place)
    for metric in results.metrics():
        print(tables(results, metric))
    print(samples(results))
    print(f"results: {page.with_name('results.json')}\nreport:  {page}")


@app.command()
def runs(folder: Annotated[Path, typer.Argument(help="where the runs are")] = Path("runs")) -> None:
    """List runs: how far they are, and what was measured."""
    from metanlp.listing import runs_table

    print(runs_table(folder))


@app.command()
def doctor() -> None:
    """What this machine has, what is missing, how fast it is."""
    from metanlp.doctor import examination

    print(examination())


def _facts(pairs: list[str] | None) -> dict[str, Any]:
    facts = dict(pair.partition("=")[::2] for pair in pairs or [])
    if "" in facts or any("=" not in pair for pair in pairs or []):
        raise UserError("--info takes KEY=VALUE, as in --info target_language=zul_Latn")
    return facts


def _workers() -> int:
    import torch

    from metanlp.doctor import cores

    return 1 if torch.cuda.is_available() else cores()


def _quiet() -> None:
    """Our own progress bars are enough."""
    from transformers.utils import logging

    logging.disable_progress_bar()


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version and stop")] = False) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"metanlp {installed('metanlp')}")
        raise typer.Exit
