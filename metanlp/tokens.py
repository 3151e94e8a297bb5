"""What the tokenizer does to the tasks of a run: what `metanlp check` says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from metanlp.coverage import CRUMBS, MANY_DECOMPOSED, MANY_LOST, MANY_UNKNOWN, Coverage, coverage_of, named
from metanlp.run import Parts, Run

TASKS_READ, EXAMPLES_READ = 200, 20  # of a split, and of each task
MANY_CUT = 0.01  # share of the texts that is worth a word
SHOWN = 5  # tasks named


@dataclass(frozen=True)
class Cut:
    """How a task's texts are cut: its sources, its targets, how many of them do not fit in whole, and in how many there are
    pieces that the run has added."""

    split: str
    task: str
    sources: Coverage
    targets: Coverage
    too_long: int
    anew: int = 0

    @property
    def both(self) -> Coverage:
        return self.sources + self.targets

    @property
    def pieces_a_word(self) -> float:
        """Of the side that has more: of a pair with English, the other language."""
        return max(self.sources.pieces_a_word, self.targets.pieces_a_word)


@dataclass(frozen=True)
class Cuts:
    """Those of a collection, split after split; the first split is the one that is trained on."""

    tasks: list[Cut]
    mendable: bool = True  # whether the tokenizer is a pretrained one, to which a run may add pieces

    @property
    def pieces_an_example(self) -> float:
        """Of the training tasks, source and target together."""
        both = sum((cut.both for cut in self.tasks if cut.split == self.tasks[0].split), Coverage())
        return 2 * both.pieces / max(1, both.texts)


def cuts_of(run: Run, parts: Parts) -> Cuts:
    """Some examples of some tasks of every split, cut. UserError where the tokenizer does not know a task's language."""
    backbone: Any = parts.backbone
    found, new = [], set(backbone.new_rows)
    for split in parts.collection.splits.values():
        count = min(TASKS_READ, len(split))
        for number in range(count):
            name = split.names[number * len(split) // count]
            task = split.task(name)
            prompts = [run.recipe.task.prompt_of(name, task.info, each) for each in task.examples[:EXAMPLES_READ]]
            sources, targets = [prompt.input for prompt in prompts], [prompt.output for prompt in prompts]
            read, written = backbone.tokenizer, backbone.target_tokenizer
            ids = [*(_encode(read, text) for text in sources), *(_encode(written, text) for text in targets)]
            anew = sum(not new.isdisjoint(each) for each in ids)
            too_long = sum(backbone.cut(prompts)) + sum(backbone.cut(prompts, "target"))
            both = coverage_by(read, sources), coverage_by(written, targets)
            found.append(Cut(split.split, name, *both, too_long, anew))
    return Cuts(found, mendable=not run.recipe.backbone.made)


def coverage_by(tokenizer: Any, texts: Iterable[str]) -> Coverage:
    """What one of Hugging Face's tokenizers does to some texts, without the special pieces around them."""
    return coverage_of(texts, partial(_encode, tokenizer), partial(_decode, tokenizer), tokenizer.unk_token_id)


def about_cuts(cuts: Cuts) -> Iterator[str]:
    """A line for every split, and lines of warning."""
    usual = median(cut.pieces_a_word for cut in cuts.tasks if cut.split == cuts.tasks[0].split)
    for split in dict.fromkeys(cut.split for cut in cuts.tasks):
        tasks = [cut for cut in cuts.tasks if cut.split == split]
        both = sum((cut.both for cut in tasks), Coverage())
        too_long = sum(cut.too_long for cut in tasks) / max(1, both.texts)
        length = f"{both.characters_a_piece:.1f} characters a piece, {both.pieces_a_word:.1f} pieces a word"
        yield f"tokens of {split}: {length}, {both.unknown_share:.2%} unknown, {too_long:.2%} of the texts cut"
        if anew := sum(cut.anew for cut in tasks):
            yield f"  {anew / max(1, both.texts):.0%} of these texts are cut otherwise than before the new pieces"
        if both.unknown_share > MANY_UNKNOWN:
            more = "task.new_pieces adds what is missing, " if cuts.mendable else ""
            known = f"{more}ByT5 and `tiny` know every character"
            yield f"  warning: {both.unknown_share:.1%} of the pieces of {split} are unknown to the tokenizer; {known}"
        elif both.lost_share > MANY_LOST:
            yield f"  warning: {split} loses characters on the way to pieces and back: {named(both.lost)}"
        if both.decomposed_share > MANY_DECOMPOSED:
            apart = "are not in NFC: letters and their marks are written apart, which models seldom see"
            yield f"  warning: {both.decomposed_share:.0%} of the texts of {split} {apart}"
        if too_long > MANY_CUT:
            long = "are longer than backbone.max_length and will be cut"
            yield f"  warning: {too_long:.1%} of the texts of {split} {long}"
        crumbs = [cut for cut in tasks if cuts.mendable and cut.pieces_a_word > CRUMBS * usual]
        for cut in sorted(crumbs, key=lambda cut: -cut.pieces_a_word)[:SHOWN]:
            times = f"{cut.pieces_a_word:.1f} pieces a word where training tasks have {usual:.1f}"
            yield f"  warning: {cut.task} is cut into {times}; see `metanlp doctor --text FILE --backbone NAME`"


def _encode(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
