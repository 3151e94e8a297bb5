"""The same model trained on the same texts by transformers' own Trainer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from machine import Now
from watching import PASSES, Lap, Watch

if TYPE_CHECKING:
    from metanlp.data.types import Episode, Prompt
    from metanlp.run import Run

Row = dict[str, list[int]]


def train_plainly(
    run: Run, warm: Sequence[Episode], episodes: Sequence[Episode], rows: int, folder: Path, now: Now
) -> list[Lap]:
    """Trains the finished stage's model on batches of `rows` texts, in random order; a lap for each step after the `warm` ones.

    Every option is Trainer's own but those that a recipe has as well. Texts are tokenised before.
    """
    import torch
    from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    recipe, train = run.recipe, run.recipe.stages[run.stage].train
    model, backbone = plain_model(run)
    order = random.Random(recipe.seed)
    first, then = (features_of(run, backbone, some) for some in (warm, episodes))
    first = (first * rows)[: max(rows, len(first) // rows * rows)]  # whole batches
    order.shuffle(then)
    watch, counts = Watch(now), list[tuple[int, int]]()
    collate = DataCollatorForSeq2Seq(backbone.tokenizer, model)

    def counted(some: list[Row]) -> Any:
        batch = collate(some)
        counts.append(pieces_of(batch, model.config.is_encoder_decoder))
        return batch

    class Laps(TrainerCallback):
        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            watch.next_lap()

    options = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=rows,
        num_train_epochs=1,
        train_sampling_strategy="sequential",  # the order is random already, behind the rows that warm up
        learning_rate=train.learning_rate,
        label_smoothing_factor=recipe.label_smoothing,
        bf16=recipe.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(model, options, data_collator=counted, train_dataset=first + then, callbacks=[Laps()])  # type: ignore[arg-type]
    trainer.remove_callback(PrinterCallback)
    with patch.object(Trainer, "training_step", watch.clocked(PASSES, Trainer.training_step)):
        trainer.train()
    for lap, (real, pieces) in zip(watch.laps, counts, strict=False):
        lap.real, lap.pieces = real, pieces
    return watch.laps[len(first) // rows : len(counts)]


def plain_model(run: Run) -> tuple[Any, Any]:
    """The model that the finished stage has saved, as anybody would train it on: whole, or of PEFT; and its backbone."""
    if not run.fast_weights.beside_a_base:
        backbone = run.trained("cpu").backbone  # which weights are frozen is said by the recipe
        return backbone.model, backbone
    from peft import PeftModel

    from metanlp.run import save_memory

    backbone = run.recipe.backbone.open(run.base)
    if run.recipe.gradient_checkpointing:
        save_memory(backbone.model)
    backbone.model.is_quantized = False  # out of a GGUF file it is whole again, but Trainer would refuse it
    return PeftModel.from_pretrained(backbone.model, run.model, is_trainable=True), backbone


def features_of(run: Run, backbone: Any, episodes: Sequence[Episode]) -> list[Row]:
    """Trainer's rows, of support and query alike."""
    from metanlp.encoding import prompts_of

    return [
        row_of(backbone, prompt)
        for episode in episodes
        for prompt in prompts_of(run.recipe.task, episode, [*episode.support, *episode.query])
    ]


def row_of(backbone: Any, prompt: Prompt) -> Row:
    from metanlp.batch import IGNORED

    if not backbone.model.config.is_encoder_decoder:
        found = backbone.learnt(prompt)
        return {
            "input_ids": [*found.before, *found.reply],
            "attention_mask": [1] * len(found.before + found.reply),
            "labels": [IGNORED] * len(found.before) + list(found.reply),
        }
    batch = backbone.encode([[prompt]])
    names = ("input_ids", "attention_mask")
    return {name: batch.inputs[name][0].tolist() for name in names} | {"labels": batch.labels[0].tolist()}


def pieces_of(batch: Any, writes: bool) -> tuple[int, int]:
    """As `watching.pieces_of` counts: the last piece of a reply is written and not read."""
    from metanlp.batch import IGNORED

    ids, real = batch["input_ids"], int(batch["attention_mask"].sum())
    if not writes:
        return real - len(ids), ids.numel() - len(ids)
    return real + int((batch["labels"] != IGNORED).sum()), ids.numel() + batch["labels"].numel()
