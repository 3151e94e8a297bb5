"""What `trim: true` does to languages that a vocabulary was not cut down for: pieces a word, whole and trimmed.

    python benchmarks/trimming.py                            # the recipe translation/tatoeba_e5_lora_fomaml
    python benchmarks/trimming.py my_recipe.yaml tam fao     # another one, and these held-out tasks by themselves

The recipe's data and encoder have to be there. Words are what white space separates, of every source of a split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

RECIPE = "translation/tatoeba_e5_lora_fomaml"


def pieces_a_word(tokenizer: Any, texts: Iterable[str]) -> float:
    from metanlp.tokens import coverage_by

    return coverage_by(tokenizer, texts).pieces_a_word


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default=RECIPE)
    parser.add_argument("tasks", nargs="*", default=["tam", "hye", "fao"], help="held-out tasks shown by themselves")
    given = parser.parse_args()
    from transformers import AutoModel, AutoTokenizer

    from metanlp.backbones._trimming import trim
    from metanlp.config import load_recipe

    recipe = load_recipe(given.recipe)
    collection, where = recipe.task.load(), recipe.backbone.encoder
    texts = {
        name: [example.source for task in collection.split(name) for example in task.examples]
        for name in collection.splits
    }
    for name in given.tasks:
        (split,) = [split for split in collection.splits.values() if name in split.names]
        texts[name] = [example.source for example in split.task(name).examples]
    whole = AutoTokenizer.from_pretrained(where)
    read = (recipe.backbone.prefix + text for text in texts["train"])
    trimmed = trim(AutoModel.from_pretrained(where), AutoTokenizer.from_pretrained(where), read)
    names = [name for name in texts if name != "train"]
    print(f"| kept | pieces | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}")
    for label, tokenizer in (("everything", whole), ("trim: true", trimmed)):
        cells = [f"{pieces_a_word(tokenizer, texts[name]):.2f}" for name in names]
        print(f"| {label} | {len(tokenizer):,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
