"""Does meta-training beat joint training at equal compute, after few steps of adapting and after many?

    python benchmarks/quality.py quality/numbers
    python benchmarks/quality.py quality/numbers --steps 20,100 --shots 16,64 --seeds 0        # for a look
    python benchmarks/quality.py dialogue/chitchat_smollm2_lora_fomaml backbone.model=backbones/smollm2 --steps 8

For every seed it trains the recipe's stages, in runs/quality-NAME/seed-N. For every number of steps it tunes each stage's
learning rate on validation tasks, the same rates for all, and adapts to the same episodes of the test tasks. What is done is
kept and not done again: an interrupted run goes on, and the tables come from what is there within a minute. Seeds are
averaged task by task; intervals and tests are over tasks. The first of the recipe's `evaluation.stages` is the baseline.

At the end stand, for each number of shots, how much better each stage is than the baseline, each after the number of steps
that was the best on validation tasks, and in how many steps it does what the baseline does in the largest number.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanlp.config.recipe import Evaluation, Recipe
    from metanlp.results import Results
    from metanlp.run import Run
    from metanlp.tuned import Choice

ROOT, TUNING = Path("runs"), "tuning.json"
PARTS = (0.3, 1.0, 3.0, 10.0)  # of the recipe's learning rate: few steps want a larger one than many


@dataclass(frozen=True)
class Measured:
    """What was measured after so many steps, and what was chosen on validation tasks before: one dict for each seed."""

    results: Results
    choices: list[dict[str, list[Choice]]]

    def on_validation(self, stage: str, shots: int) -> float:
        """The score of what was chosen, the mean over seeds."""
        return fmean(choice.best.value for seed in self.choices for choice in seed[stage] if choice.shots == shots)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a recipe's name or file; its evaluation names two stages or more")
    parser.add_argument("overrides", nargs="*", help="changes to the recipe, as backbone.model=FOLDER")
    parser.add_argument("--steps", type=numbers, default=[1, 5, 20, 100], help="of adapting; default 1,5,20,100")
    parser.add_argument("--shots", type=numbers, default=[], help="default: the recipe's")
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2], help="each a training of its own; default 0,1,2")
    parser.add_argument(
        "--rates", default="", help="learning rates to choose from; default: 0.3 to 10 times the recipe's"
    )
    parser.add_argument("--workers", type=int, default=None, help="processes that measure; default: the cores")
    asked = parser.parse_intermixed_args()
    home = ROOT / f"quality-{asked.recipe.removesuffix('.yaml').strip('./').replace('/', '-')}"
    found = {steps: pooled([measured(asked, home, seed, steps) for seed in asked.seeds]) for steps in asked.steps}
    text = "\n\n".join([*(table(each, steps) for steps, each in found.items()), verdict(found)])
    print(text)
    (home / "table.txt").write_text(text + "\n", encoding="utf-8")
    draw({steps: each.results for steps, each in found.items()}, home / "steps.png")


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def measured(asked: argparse.Namespace, home: Path, seed: int, steps: int) -> Measured:
    """One seed at one number of steps: from its folder where it has been measured, else trained, tuned and measured.

    UserError before anything is trained where some tasks are too few or too small for what is asked.
    """
    from metanlp.cli.learning import worker_count
    from metanlp.config.load import load_recipe
    from metanlp.evaluation import evaluate
    from metanlp.run import Run
    from metanlp.training import meta_train
    from metanlp.tuned import TUNED
    from metanlp.tuning import tune

    recipe = load_recipe(asked.recipe, f"seed={seed}", *asked.overrides)
    shots = sorted({0, *(asked.shots or recipe.evaluation.shots)})
    options = recipe.evaluation.model_copy(update={"shots": shots, "seeds": [seed], "others": 0})
    require_measurable(recipe, options)
    rates = [float(rate) for rate in asked.rates.split(",") if rate]
    rates = rates or [float(f"{part * recipe.adapting.learning_rate:.2g}") for part in PARTS]
    run = Run.open(meta_train(recipe, home / f"seed-{seed}"))
    folder, how = run.folder / "quality" / f"steps-{steps}", how_measured(run, options, rates, steps)
    if (kept := read(folder, how)) is not None:
        return kept
    print(f"seed {seed}, {steps} steps", flush=True)
    workers = asked.workers or worker_count()
    chosen = tune(run, options=options, rates=rates, steps=[steps], workers=workers, show=True)
    results = evaluate(run, options=options, workers=workers, show=True)
    results.write(folder)
    choices = {stage: [asdict(choice) for choice in own] for stage, own in chosen.items()}
    (folder / TUNING).write_text(json.dumps({"how": how, "choices": choices}, indent=1), encoding="utf-8")
    for stage in chosen:
        (run.at(stage).place / TUNED).unlink()  # chosen for this number of steps alone
    return Measured(results, [chosen])


def require_measurable(recipe: Recipe, options: Evaluation) -> None:
    from metanlp.data.sampler import columns_of, some_of
    from metanlp.errors import UserError

    if len(options.stages) < 2:
        raise UserError(
            f"evaluation.stages are {options.stages}; name the baseline and, after it, what it is held against"
        )
    collection = recipe.task.load()
    for split in ("valid", "test"):
        columns_of(some_of(collection.split(split), options.tasks), options.shots, options.protocol)


def how_measured(run: Run, options: Evaluation, rates: Sequence[float], steps: int) -> dict[str, Any]:
    """All that numbers depend on."""
    stages = {
        stage: {"id": run.at(stage).id, "adapting": run.recipe.adapting_of(stage).dump()} for stage in options.stages
    }
    return {"asked": options.dump(), "rates": list(rates), "steps": steps, "stages": stages}


def read(folder: Path, how: Mapping[str, Any]) -> Measured | None:
    """What was measured in just this way, or None."""
    from metanlp.results import Results
    from metanlp.tuned import Choice

    if not (folder / TUNING).exists():  # written last
        return None
    tuning = json.loads((folder / TUNING).read_text(encoding="utf-8"))
    if tuning["how"] != json.loads(json.dumps(how)):
        return None
    choices = {stage: [Choice.of(each) for each in own] for stage, own in tuning["choices"].items()}
    return Measured(Results.read(folder), [choices])


def pooled(seeds: Sequence[Measured]) -> Measured:
    """The seeds' results as one, in which a task's number is the mean over seeds."""
    from metanlp.config.recipe import Evaluation
    from metanlp.results import results_of

    first, found = seeds[0].results, [each.results for each in seeds]
    options = Evaluation(**{**first.asked, "seeds": [seed for each in found for seed in each.asked["seeds"]]})
    facts = {name: getattr(first, name) for name in ("collection", "digest", "split", "environment")}
    predicted = [one for each in found for one in each.predicted]
    results = results_of(predicted, options, options.stages[:1], **facts)
    return Measured(results, [choices for each in seeds for choices in each.choices])


def table(found: Measured, steps: int) -> str:
    """The metrics' tables after so many steps, what was chosen for that, and how long adapting took."""
    from metanlp.report import tables
    from metanlp.tuning import choices_table

    results = found.results
    seconds: dict[str, list[float]] = {}
    for each in results.predicted:
        if each.steps:
            seconds.setdefault(each.stage, []).append(each.seconds)
    took = ", ".join(f"{stage} {fmean(times):.2f}" for stage, times in seconds.items())
    heading = f"After {steps} step{'s' if steps > 1 else ''} of adapting; seconds a task: {took}"
    chosen = [
        f"chosen on validation tasks, seed {seed}:\n{choices_table(choices, results.metrics()[0])}\n"
        for seed, choices in zip(results.asked["seeds"], found.choices, strict=True)
    ]
    measured = [tables(results, metric) for metric in results.metrics()]
    return "\n".join([heading, "=" * len(heading), "", *measured, *chosen])


def verdict(found: Mapping[int, Measured]) -> str:
    """By the first metric: each stage against the baseline, both after the steps that were the best on validation tasks."""
    from metanlp.metrics import LOWER_IS_BETTER, paired_bootstrap

    first = next(iter(found.values())).results
    metric, (baseline, *others) = first.metrics()[0], first.asked["stages"]
    sign = -1 if metric in LOWER_IS_BETTER else 1

    def score(stage: str, shots: int, steps: int) -> float:
        return sign * found[steps].results.overall(stage, shots, metric).value

    lines = [
        f"{metric}, each stage after the number of steps that was the best on validation tasks; p of each line alone"
    ]
    for shots in [count for count in first.shots() if count]:
        best = {}
        for stage in (baseline, *others):
            on_validation = {steps: sign * each.on_validation(stage, shots) for steps, each in found.items()}
            best[stage] = max(on_validation, key=on_validation.__getitem__)
        for stage in others:
            ours, theirs = (found[best[each]].results.by_task(each, shots, metric) for each in (stage, baseline))
            pair = paired_bootstrap([ours[task] for task in ours], [theirs[task] for task in ours], seed=0)
            gain = f"{pair.difference:+.1f} [{pair.low:.1f}, {pair.high:.1f}], p = {pair.p:.3f}" if pair else "one task"
            aim = score(baseline, shots, max(found))
            soon = [steps for steps in sorted(found) if score(stage, shots, steps) >= aim]
            reached = f"in {soon[0]} steps" if soon else "never"
            lines.append(
                f"{shots:5} shots: {stage} after {best[stage]} steps - {baseline} after {best[baseline]}: {gain}; "
                f"{baseline}'s score after {max(found)} is reached {reached}"
            )
    return "\n".join(lines)


def draw(found: Mapping[int, Results], path: Path) -> None:
    """The first metric by steps, a panel for each number of shots; nothing where matplotlib is not installed."""
    from metanlp.report.drawing import LIGHT, can_draw, figure_as_png

    if not can_draw():
        return
    first = next(iter(found.values()))
    metric, stages = first.metrics()[0], first.asked["stages"]
    columns = [count for count in first.shots() if count]
    with figure_as_png(3.2 * len(columns), 3.2, LIGHT) as (figure, png):
        for axes, shots in zip(figure.subplots(1, len(columns), squeeze=False, sharey=True).flat, columns, strict=True):
            for number, stage in enumerate(stages):
                rows = [found[steps].overall(stage, shots, metric) for steps in sorted(found)]
                steps, values = sorted(found), [row.value for row in rows]
                axes.plot(steps, values, color=LIGHT.of(number), label=stage, marker="o", markersize=3)
                if all(row.low is not None for row in rows):
                    bounds = [row.low for row in rows], [row.high for row in rows]
                    axes.fill_between(steps, *bounds, color=LIGHT.of(number), alpha=0.15, linewidth=0)
            axes.set_xscale("log")
            axes.set_xticks(sorted(found), [str(each) for each in sorted(found)])
            axes.set_xlabel("steps of adapting")
            axes.set_title(f"{metric}, {shots} shots", loc="left")
        axes.legend(frameon=False)
    path.write_bytes(png.getvalue())


if __name__ == "__main__":
    main()
