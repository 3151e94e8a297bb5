"""`metanlp runs`: what has been trained, how far it is, and what was measured."""

from __future__ import annotations

import json
from pathlib import Path

from metanlp.adaptation import adaptation_names
from metanlp.checkpoint import latest_state
from metanlp.errors import UserError
from metanlp.run import RECIPE, Run


def runs_table(folder: Path) -> str:
    """Every run in `folder`, each with its stages. UserError where the folder is missing."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; `metanlp train` makes runs/<recipe>")
    found = sorted(path.parent for path in folder.glob(f"*/{RECIPE}"))
    if not found:
        return f"there are no runs in {folder}; `metanlp train demo/numbers` makes one"
    return "\n\n".join(_about(path) for path in found)


def _about(folder: Path) -> str:
    lines = [str(folder)]
    try:
        run = Run.open(folder)
    except UserError as error:  # of an older version, or half copied: no reason to hide the others
        return f"{folder}\n  {error}"
    for name, stage in run.recipe.stages.items():
        at = run.at(name)
        state = latest_state(at.checkpoints)
        done, passes = (state["step"], state["passes"]) if state else (0, 0)
        line = f"  {name:12} {stage.algorithm.kind:10} {done:,} of {stage.train.steps:,} steps, {passes:,} passes"
        adapted = adaptation_names(at)
        lines.append(line + (f"; adapted: {', '.join(adapted)}" if adapted else ""))
    results = run.folder / "report" / "results.json"
    if results.is_file():
        for row in json.loads(results.read_text(encoding="utf-8")):
            if row["task"] is None:
                lines.append(f"  {row['stage']:12} {row['metric']:12} {row['shots']:4} shots  {row['value']:5.1f}")
    return "\n".join(lines)
