"""Recipe -> run: the outer loop, on one process or many. The only file that knows accelerate."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs

from metanlp.checkpoint import latest_checkpoint, save_checkpoint, verified
from metanlp.config import Recipe
from metanlp.data.sampler import EpisodeSampler, evaluation_episode, few_shots
from metanlp.data.seeds import seed_of
from metanlp.encoding import encode_episodes, pass_costs_of, prompts_of
from metanlp.errors import Stopped, UserError, did_you_mean
from metanlp.logbook import Logbook
from metanlp.outer import Total, freeze_state, learning_rate, outer_optimizer, set_grads, thaw_state
from metanlp.progress import progress
from metanlp.run import Parts, Run
from metanlp.saving import export, exported
from metanlp.stacks import adapt_stack, check_adapting

VALIDATION_QUERIES, VALIDATION_STEPS = 32, 10


def meta_train(recipe: Recipe, folder: str | Path) -> Path:
    """Train every stage of `recipe` in `folder`, going on where an earlier call stopped; returns the folder.

    1, 2 or 4 processes (`accelerate launch -m metanlp train ...`) run the same experiment, up to the order of additions.
    Raises Stopped after SIGTERM or SIGINT, at the end of a step, with a checkpoint written.
    """
    # said aloud, several processes on one CPU find each other (gloo)
    cpu = os.environ.get("ACCELERATE_USE_CPU") in ("1", "true") or not torch.accelerator.is_available()
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=2))  # ranks wait while one validates or saves
    logs = _trackers(recipe)
    accelerator = Accelerator(log_with=logs, project_dir=str(folder), cpu=cpu, kwargs_handlers=[patience])
    _require_joined(accelerator)
    with accelerator.main_process_first():
        run = Run.create(recipe, Path(folder))
        run.require_same_data(run.prepare())
    if recipe.trackers:
        accelerator.init_trackers("tracking")
    with _signals() as received:
        for stage in recipe.stages:
            done = verified(run.at(stage).last_checkpoint) and exported(run.at(stage))
            accelerator.wait_for_everyone()  # all have looked before anyone changes what is there
            if not done:
                train_stage(run.at(stage), accelerator, received)
    accelerator.end_training()
    return run.folder


def train_stage(run: Run, accelerator: Accelerator, received: list[int]) -> None:
    """Train one stage from its start, or its last checkpoint, to its end."""
    stage, parts = run.recipe.stages[run.stage], run.build(accelerator.device)
    train, algorithm, learner = stage.train, stage.algorithm, parts.learner
    if stage.after is not None and stage.after != run.recipe.base_of(run.stage):  # the base holds its weights already
        run.at(stage.after).load_learnt(learner)
    learner.keep_pages()
    learnt = algorithm.learnt(learner)
    optimizer = outer_optimizer(learnt, train)
    saved = latest_checkpoint(run.checkpoints)
    fresh: dict[str, Any] = {"step": 0, "passes": 0, "seconds": 0.0}
    state = thaw_state(learner, learnt, optimizer, saved) if saved else fresh
    seed = seed_of(run.recipe.seed, run.stage)
    split = parts.collection.split("train").share(*train.share, seed=run.recipe.seed)
    sampler = EpisodeSampler(split, seed, train.support, train.query, train.temperature)
    alone = algorithm.adapts and not learner.fast.stackable
    stack = train.tasks_per_stack or (1 if alone else math.ceil(train.meta_batch / accelerator.num_processes))
    rank, ranks, main = accelerator.process_index, accelerator.num_processes, accelerator.is_main_process
    pass_costs = pass_costs_of(learner.device, learner.precision)
    encode = lambda episodes: encode_episodes(  # noqa: E731
        run.recipe.task, parts.backbone, episodes, algorithm.inner_steps, seed, pass_costs
    ).to(learner.device)
    if algorithm.adapts and state["step"] == 0:
        check_adapting(learner, algorithm, encode([sampler[0]]))
    log = (
        Logbook(run.place / "metrics.jsonl", accelerator.log, run.stage, state["step"], state["seconds"])
        if main
        else None
    )
    total, passes = Total(learnt), state["passes"]

    with progress(f"{run.stage} ({algorithm.kind})", train.steps, state["step"], show=main) as advance:
        for step in range(state["step"], train.steps):
            total.clear()
            for episodes in sampler.at_step(step, rank, ranks, train.meta_batch, stack):
                total.add(algorithm.meta_gradient(learner, encode(episodes)), len(episodes))
            if received:
                total.ask_to_stop()
            flat = accelerator.reduce(total.flat, "sum")  # the only place where ranks meet, once a step
            grads, loss, new_passes, stopping = total.means(flat)
            set_grads(learnt, grads)
            norm = torch.nn.utils.clip_grad_norm_(learnt.values(), train.clip or math.inf)
            _require_finite(norm, f"stage {run.stage!r}, step {step + 1}: the meta-gradient")
            optimizer.param_groups[0]["lr"] = learning_rate(train, step)
            optimizer.step()
            optimizer.zero_grad()  # the reduced gradient is as large as what is learnt

            done, passes = step + 1, passes + new_passes
            advance(1, f"loss {loss:.3f}")
            if log and (done % train.log_every == 0 or done == train.steps):
                rate = optimizer.param_groups[0]["lr"]
                log.write(done, passes, {"loss": loss, "norm": float(norm), "learning_rate": rate})
            if log and train.validate_every and done % train.validate_every == 0:
                log.write(done, passes, validation_losses(run, parts))
            if log and done < train.steps and (stopping or done % train.save_every == 0):
                now = {"step": done, "passes": passes, "seconds": log.seconds}
                save_checkpoint(run.checkpoints, freeze_state(learner, learnt, optimizer, now))
            if stopping and done < train.steps:
                accelerator.wait_for_everyone()
                raise Stopped(max(received, default=signal.SIGTERM))
    if log:
        now = {"step": train.steps, "passes": passes, "seconds": log.seconds}
        save_checkpoint(run.checkpoints, freeze_state(learner, learnt, optimizer, now))
        export(run, parts)
    accelerator.wait_for_everyone()


def validation_losses(run: Run, parts: Parts) -> dict[str, float]:
    """The mean query loss over the validation tasks, before and after a few steps of adapting."""
    split = parts.collection.split("valid")
    adapting = run.recipe.adapting_of(run.stage)
    before, after = [], []
    for name in split.names:
        episode = evaluation_episode(split, name, few_shots(split), run.recipe.seed, queries=VALIDATION_QUERIES)
        query = parts.backbone.encode([prompts_of(run.recipe.task, episode, episode.query)]).to(parts.learner.device)
        adapted = adapt_stack(run, parts, [episode], adapting, VALIDATION_STEPS, seed=run.recipe.seed)
        before.append(float(parts.learner.losses(parts.learner.spread(1), query)))
        after.append(float(parts.learner.losses(adapted, query)))
    return {"valid_loss": sum(before) / len(before), "valid_loss_adapted": sum(after) / len(after)}


def _require_finite(norm: torch.Tensor, what: str) -> None:
    """UserError where training has burst: from there on every weight would be NaN."""
    if not torch.isfinite(norm):
        raise UserError(f"{what} has the norm {float(norm)}; lower train.learning_rate or the algorithm's inner_lr")


def _require_joined(accelerator: Accelerator) -> None:
    """RuntimeError where processes that were launched together would train alone, each over the others' files."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != launched:
        raise RuntimeError(f"{launched} processes were launched, but Accelerate joined {accelerator.num_processes}")


def _trackers(recipe: Recipe) -> list[Any] | None:
    """Those of the recipe; TensorBoard only where it is installed, since it is the default. UserError for others."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    known, there = ([str(name) for name in names] for names in (LOGGER_TYPE_TO_CLASS, get_available_trackers()))
    for name in recipe.trackers:
        if name not in known:
            raise UserError(f"there is no tracker {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}")
        if name not in there and name != "tensorboard":
            raise UserError(f"the tracker {name!r} is not installed; install its package, or take it out of `trackers`")
    return [name for name in recipe.trackers if name in there] or None


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT, for the loop to look at between steps; a second SIGINT interrupts at once."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and received:
            raise KeyboardInterrupt
        received.append(number)

    asked = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, receive) for number in asked}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
