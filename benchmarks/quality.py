"""Does meta-training beat joint training at equal compute, after few steps of adapting and after many?

    python benchmarks/quality.py quality/numbers
    python benchmarks/quality.py quality/numbers --steps 20,100 --shots 16,64 --seeds 0        # for a look
    python benchmarks/quality.py quality/chitchat backbone.model=backbones/smollm2 --steps 2,8
    python data_scripts/numbers.py --out data/numbers_14 --training-languages 14
    python benchmarks/quality.py quality/numbers task.collection=data/numbers_14 --out runs/quality-numbers_14

For every seed it trains the recipe's stages, in runs/quality-NAME/seed-N. For every number of shots and of steps it tunes each
stage's learning rate on validation tasks, the same rates for all, and adapts to the same episodes of the test tasks. What is
done is kept and not done again: an interrupted run goes on, more shots, steps or seeds cost only what is new, and the tables
come from what is there within a minute. Seeds are averaged task by task; intervals and tests are over tasks. The first of the
recipe's `evaluation.stages` is the baseline.

Printed, and kept there as `table.md`, are means with intervals and differences to the baseline; `details.txt` has signatures,
passes, and what was chosen, `steps.png` the curves. Seconds are by the clock, on a machine as busy as it was. At the end stand,
for each number of shots, how much better each stage is than the baseline, each after the number of steps that was the best on
validation tasks, and in how many steps it does what the baseline does in the largest number.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quality_tables import Measured, draw, summary, table, verdict

if TYPE_CHECKING:
    from metanlp.config.recipe import Evaluation, Recipe
    from metanlp.results import Results
    from metanlp.tuned import Choice

ROOT, KEPT = Path("runs"), "measured.json"
PARTS = (0.3, 1.0, 3.0, 10.0)  # of the recipe's learning rate: few steps want a larger one than many
Choices = dict[str, list["Choice"]]  # by stage


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
    parser.add_argument(
        "--tuning-tasks", type=int, default=None, help="validation tasks to tune on; default: the recipe's"
    )
    parser.add_argument("--out", type=Path, help="the folder; default: runs/quality-NAME")
    parser.add_argument("--workers", type=int, default=None, help="processes that measure; default: the cores")
    asked = parser.parse_intermixed_args()
    name = asked.recipe.removesuffix(".yaml").strip("./").replace("/", "-").removeprefix("quality-")
    home = asked.out or ROOT / f"quality-{name}"
    seeds = [Seed(asked, home / f"seed-{seed}", seed) for seed in sorted(set(asked.seeds))]
    found = {steps: pooled([each.after(steps) for each in seeds]) for steps in asked.steps}
    details = "\n\n".join(table(each, steps) for steps, each in found.items())
    (home / "details.txt").write_text(details + "\n", encoding="utf-8")
    text = f"{summary(found)}\n\n{verdict(found)}\n"
    (home / "table.md").write_text(text, encoding="utf-8")
    print(text)
    draw({steps: each.results for steps, each in found.items()}, home / "steps.png")


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


class Seed:
    """One seed's run, trained where it is not, and what has been measured of it: in `quality` in its folder.

    UserError before anything is trained where tasks are too few or too small for what is asked, or nobody has the
    persona sentences that are asked for.
    """

    def __init__(self, asked: argparse.Namespace, folder: Path, seed: int) -> None:
        from metanlp.cli.learning import worker_count
        from metanlp.config.load import load_recipe
        from metanlp.run import Run
        from metanlp.training import meta_train

        recipe = load_recipe(asked.recipe, f"seed={seed}", *asked.overrides)
        self.shots = [count for count in sorted(set(asked.shots or recipe.evaluation.shots)) if count]
        self.options = recipe.evaluation.model_copy(update={"seeds": [seed], "others": 0})
        self.tuning_tasks = asked.tuning_tasks or self.options.tasks
        require_measurable(recipe, self.options, self.shots, {"valid": self.tuning_tasks, "test": self.options.tasks})
        rates = [float(rate) for rate in asked.rates.split(",") if rate]
        self.rates = rates or [float(f"{part * recipe.adapting.learning_rate:.2g}") for part in PARTS]
        self.workers = asked.workers or worker_count()
        self.run = Run.open(meta_train(recipe, folder))

    def after(self, steps: int) -> Measured:
        """All numbers of shots after so many steps, and beside them what no adapting changes."""
        cells = [self.zero_shot(), *(self.adapted(shots, steps) for shots in self.shots)]
        ways = {*self.options.prompting}
        asked = [*([0] if "persona" in ways else []), *(self.shots if ways - {"persona"} else [])]
        cells += [self.prompted(shots) for shots in asked]
        choices: Choices = {}
        for cell in cells:
            for stage, own in cell.choices[0].items():
                choices.setdefault(stage, []).extend(own)
        return Measured(joined([cell.results for cell in cells]), [choices])

    def zero_shot(self) -> Measured:
        from metanlp.evaluation import evaluate

        options = self.options_at(0)
        return self.kept(
            "zero-shot", options, {}, lambda: (evaluate(self.run, options=options, workers=self.workers, show=True), {})
        )

    def adapted(self, shots: int, steps: int) -> Measured:
        """Tuned on validation tasks, then measured on test tasks."""
        from metanlp.evaluation import evaluate
        from metanlp.tuned import TUNED
        from metanlp.tuning import tune

        run, options = self.run, self.options_at(shots)

        def measure() -> tuple[Results, Choices]:
            tuning = options.model_copy(update={"tasks": self.tuning_tasks})
            try:
                chosen = tune(run, options=tuning, rates=self.rates, steps=[steps], workers=self.workers, show=True)
                return evaluate(run, options=options, workers=self.workers, show=True), chosen
            finally:
                for stage in options.stages:
                    (run.at(stage).place / TUNED).unlink(missing_ok=True)  # chosen for this number of steps alone

        adapting = {stage: run.recipe.adapting_of(stage).dump() for stage in options.stages}
        how = {"rates": self.rates, "steps": steps, "tuning_tasks": self.tuning_tasks, "adapting": adapting}
        return self.kept(f"shots-{shots}-steps-{steps}", options, how, measure)

    def prompted(self, shots: int) -> Measured:
        """The untrained backbone with examples in its prompt, or with nothing but persona sentences."""
        from metanlp.evaluation import evaluate_prompting

        options = self.options_at(shots).model_copy(update={"prompting": self.options.prompting})

        def measure() -> tuple[Results, Choices]:
            return evaluate_prompting(self.run, options=options, workers=self.workers, show=True), {}

        return self.kept(f"shots-{shots}-prompted", options, {}, measure)

    def options_at(self, shots: int) -> Evaluation:
        return self.options.model_copy(update={"shots": [shots], "prompting": []})

    def kept(
        self, name: str, options: Evaluation, how: Mapping[str, Any], measure: Callable[[], tuple[Results, Choices]]
    ) -> Measured:
        """From its folder where it was measured in just this way, else measured now."""
        from metanlp.results import Results
        from metanlp.tuned import Choice

        folder = self.run.folder / "quality" / name
        stages = {stage: self.run.at(stage).id for stage in options.stages}
        told = json.loads(json.dumps({"asked": options.dump(), "stages": stages, **how}))
        path = folder / KEPT  # written last
        if path.exists() and (before := json.loads(path.read_text(encoding="utf-8")))["how"] == told:
            choices = {stage: [Choice.of(each) for each in own] for stage, own in before["choices"].items()}
            return Measured(Results.read(folder), [choices])
        print(f"{self.run.folder}: {name}", flush=True)
        path.unlink(missing_ok=True)
        results, choices = measure()
        results.write(folder)
        kept = {stage: [asdict(choice) for choice in own] for stage, own in choices.items()}
        path.write_text(json.dumps({"how": told, "choices": kept}, indent=1), encoding="utf-8")
        return Measured(results, [choices])


def require_measurable(
    recipe: Recipe, options: Evaluation, shots: Sequence[int], tasks: Mapping[str, int | None]
) -> None:
    """`tasks` are how many of a split's tasks take part."""
    from metanlp.data.sampler import columns_of, some_of
    from metanlp.errors import UserError
    from metanlp.prompting import people_with_persona

    if len(options.stages) < 2:
        raise UserError(
            f"evaluation.stages are {options.stages}; name the baseline and, after it, what it is held against"
        )
    collection = recipe.task.load()
    for split, count in tasks.items():
        columns_of(some_of(collection.split(split), count), shots, options.protocol)
    people_with_persona(recipe.task, some_of(collection.split("test"), options.tasks), options)


def pooled(seeds: Sequence[Measured]) -> Measured:
    """The seeds' results as one, in which a task's number is the mean over seeds."""
    return Measured(joined([each.results for each in seeds]), [choices for each in seeds for choices in each.choices])


def joined(parts: Sequence[Results]) -> Results:
    """Several measurements of one collection as one."""
    from metanlp.config.recipe import Evaluation
    from metanlp.results import results_of

    first = parts[0]
    lists = {name: sorted({one for each in parts for one in each.asked[name]}) for name in ("shots", "seeds")}
    options = Evaluation(**{**first.asked, **lists})
    facts = {name: getattr(first, name) for name in ("collection", "digest", "split", "environment")}
    return results_of([one for each in parts for one in each.predicted], options, options.stages[:1], **facts)


if __name__ == "__main__":
    main()
