"""Does meta-training beat joint training at equal compute, after few steps of adapting and after many?

    python benchmarks/quality.py demo/numbers
    python benchmarks/quality.py demo/numbers --steps 20,100 --shots 16,64 --seeds 0        # for a look
    python benchmarks/quality.py dialogue/chitchat_smollm2_lora_fomaml backbone.model=backbones/smollm2 --steps 8

For every seed it trains the recipe's stages, in runs/quality-NAME/seed-N. For every number of steps it tunes each stage's
learning rate on validation tasks, the same rates for all, and adapts to the same episodes of the test tasks. What is done is
kept and not done again: an interrupted run goes on, and the tables come from what is there within a minute. Seeds are
averaged task by task; intervals and tests are over tasks. The first of the recipe's `evaluation.stages` is the baseline.

At the end stand, for each number of shots, how much better each stage is than the baseline, and in how many steps it does
what the baseline does in the largest number.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metanlp.config.recipe import Evaluation
    from metanlp.results import Predicted, Results

ROOT = Path("runs")
PARTS = (0.3, 1.0, 3.0, 10.0)  # of the recipe's learning rate: few steps want a larger one than many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a recipe's name or file")
    parser.add_argument("overrides", nargs="*", help="changes to the recipe, as backbone.model=FOLDER")
    parser.add_argument("--steps", type=numbers, default=[1, 5, 20, 100], help="of adapting; default 1,5,20,100")
    parser.add_argument("--shots", type=numbers, default=[4, 16, 64, 256], help="default 4,16,64,256")
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2], help="each a training of its own; default 0,1,2")
    parser.add_argument(
        "--rates", default="", help="learning rates to choose from; default: 0.3 to 10 times the recipe's"
    )
    parser.add_argument("--workers", type=int, default=None, help="processes that measure; default: the cores")
    asked = parser.parse_intermixed_args()
    home = ROOT / f"quality-{Path(asked.recipe).stem}"
    found = {steps: pooled([measured(asked, home, seed, steps) for seed in asked.seeds]) for steps in asked.steps}
    text = "\n\n".join([*(table(results, steps) for steps, results in found.items()), verdict(found)])
    print(text)
    (home / "table.txt").write_text(text + "\n", encoding="utf-8")
    draw(found, home / "steps.png")


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def measured(asked: argparse.Namespace, home: Path, seed: int, steps: int) -> Results:
    """One seed at one number of steps: from its folder where it has been measured, else trained, tuned and measured."""
    from metanlp.config.load import load_recipe
    from metanlp.evaluation import evaluate
    from metanlp.run import Run
    from metanlp.training import meta_train
    from metanlp.tuning import tune

    recipe = load_recipe(asked.recipe, f"seed={seed}", *asked.overrides)
    options = recipe.evaluation.model_copy(update={"shots": [0, *asked.shots], "seeds": [seed], "others": 0})
    run = Run.open(meta_train(recipe, home / f"seed-{seed}"))
    folder = run.folder / "quality" / f"steps-{steps}"
    if (kept := read(folder, options)) is not None:
        return kept
    rates = [float(rate) for rate in asked.rates.split(",") if rate]
    rates = rates or [float(f"{part * recipe.adapting.learning_rate:.2g}") for part in PARTS]
    workers = asked.workers or cores()
    print(f"seed {seed}, {steps} steps", flush=True)
    tune(run, options=options, rates=rates, steps=[steps], workers=workers, show=True)
    results = evaluate(run, options=options, workers=workers, show=True)
    results.write(folder)
    return results


def cores() -> int:
    import torch

    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def read(folder: Path, options: Evaluation) -> Results | None:
    """What was measured with these very options, or None."""
    from metanlp.metrics import Score
    from metanlp.results import Predicted

    path = folder / "comparisons.json"
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    if told["asked"] != options.dump():
        return None
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    predicted = [Predicted(**{**line, "measured": [Score(**score) for score in line["measured"]]}) for line in lines]
    collection = json.loads((folder / "results.json").read_text(encoding="utf-8"))[0]["collection"]
    facts = {name: told[name] for name in ("digest", "split", "environment")}
    return made_of(predicted, options, {"collection": collection, **facts})


def made_of(predicted: Sequence[Predicted], options: Evaluation, facts: Mapping[str, Any]) -> Results:
    from metanlp.results import results_of

    return results_of(predicted, options, options.stages[:1], **facts)


def pooled(seeds: Sequence[Results]) -> Results:
    """The seeds' results as one, in which a task's number is the mean over seeds."""
    from metanlp.config.recipe import Evaluation

    first = seeds[0]
    options = Evaluation(**{**first.asked, "seeds": [seed for each in seeds for seed in each.asked["seeds"]]})
    facts = {name: getattr(first, name) for name in ("collection", "digest", "split", "environment")}
    return made_of([found for each in seeds for found in each.predicted], options, facts)


def table(results: Results, steps: int) -> str:
    """The metrics' tables after so many steps, and how long adapting took."""
    from metanlp.report import tables

    seconds: dict[str, list[float]] = {}
    for each in results.predicted:
        if each.steps:
            seconds.setdefault(each.stage, []).append(each.seconds)
    took = ", ".join(f"{stage} {fmean(times):.2f}" for stage, times in seconds.items())
    heading = f"After {steps} step{'s' if steps > 1 else ''} of adapting; seconds a task: {took}"
    return "\n".join([heading, "=" * len(heading), *(f"\n{tables(results, metric)}" for metric in results.metrics())])


def verdict(found: Mapping[int, Results]) -> str:
    """Of the first metric: the best of each stage against the best of the baseline, whatever the steps, and its speed."""
    from metanlp.metrics import LOWER_IS_BETTER, paired_bootstrap

    first = next(iter(found.values()))
    metric, (baseline, *others) = first.metrics()[0], first.asked["stages"]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    lines = [f"{metric}, each at its best number of steps, against {baseline} at its best"]
    for shots in [count for count in first.shots() if count]:
        best = {
            stage: max(found, key=lambda steps, stage=stage: sign * found[steps].overall(stage, shots, metric).value)
            for stage in (baseline, *others)
        }
        aim = found[max(found)].overall(baseline, shots, metric).value
        for stage in others:
            ours, theirs = (by_task(found[best[each]], each, shots, metric) for each in (stage, baseline))
            pair = paired_bootstrap([ours[task] for task in ours], [theirs[task] for task in ours], seed=0)
            gain = f"{pair.difference:+.1f} [{pair.low:.1f}, {pair.high:.1f}], p = {pair.p:.3f}" if pair else "one task"
            soon = [
                steps
                for steps in sorted(found)
                if sign * found[steps].overall(stage, shots, metric).value >= sign * aim
            ]
            reached = f"in {soon[0]} steps" if soon else "never"
            lines.append(
                f"{shots:5} shots: {stage} after {best[stage]} steps - {baseline} after {best[baseline]}: {gain}; "
                f"{baseline}'s score after {max(found)} is reached {reached}"
            )
    return "\n".join(lines)


def by_task(results: Results, stage: str, shots: int, metric: str) -> dict[str, float]:
    """Each task's value, the mean over seeds."""
    values: dict[str, list[float]] = {}
    for row in results.rows:
        if row.task is not None and (row.stage, row.shots, row.metric) == (stage, shots, metric):
            values.setdefault(row.task, []).append(row.value)
    return {task: fmean(found) for task, found in sorted(values.items())}


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
