"""More pieces for a tokenizer that cuts a language into crumbs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from metanlp.data.merges import SPACE, Word, learn_merges

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from metanlp.backbones._additions import Starts


@dataclass(frozen=True)
class NewPieces:
    """Characters that the tokenizer does not know, pairs of pieces to merge, and the pieces of the text with both."""

    characters: list[str]
    merges: list[tuple[str, str]]
    pieces: int

    @property
    def all(self) -> list[str]:
        return list(dict.fromkeys([*self.characters, *("".join(pair) for pair in self.merges)]))


def why_none(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Why this tokenizer cannot have new pieces, or needs none, in a sentence; None where it can."""
    if type(tokenizer).__name__ == "ByT5Tokenizer":
        return "ByT5 reads bytes: no character is unknown to it, and there are no pieces to add"
    kind = type(tokenizer).__name__
    if not tokenizer.is_fast:
        return f"{kind} has its pieces in a sentencepiece file that cannot grow; take NLLB, mBART-50 or mT5"
    if not any(piece.startswith(SPACE) for piece in tokenizer.get_vocab()):
        return f"{kind} spells in bytes, so no character is unknown to it, and its pieces are no letters to merge"
    return None


def learn_pieces(tokenizer: Any, texts: Iterable[str], count: int) -> NewPieces:
    """At most `count` pieces for these texts: first the characters that are unknown, then what often stands together."""
    often = Counter(word for text in texts for word in text.split())
    characters = [character for character, _ in _unknown_characters(tokenizer, often).most_common(count)]
    larger = _with(tokenizer.backend_tokenizer, len(tokenizer), NewPieces(characters, [], 0))
    words: Counter[Word] = Counter()
    for word, times in often.items():
        words[tuple(larger.encode(word, add_special_tokens=False).tokens)] += times
    found = learn_merges(words, count - len(characters), larger.get_vocab())
    return NewPieces(characters, found.pairs, found.pieces)


def add_pieces(tokenizer: Any, new: NewPieces) -> Starts:
    """Let the tokenizer cut with them. A piece's row starts from those that it replaces, a character's from unknown's."""
    before, first = tokenizer.get_vocab(), len(tokenizer)
    parts: dict[str, list[int]] = {character: [tokenizer.unk_token_id] for character in new.characters}
    for left, right in new.merges:
        rows = [row for part in (left, right) for row in parts.get(part) or [before[part]]]
        parts.setdefault(left + right, rows)
    tokenizer._tokenizer = _with(tokenizer.backend_tokenizer, first, new)
    return {first + index: parts[piece] for index, piece in enumerate(new.all)}


def _unknown_characters(tokenizer: Any, words: Counter[str]) -> Counter[str]:
    """How often each character stands in the words that the tokenizer has no piece for."""
    normalizer, found = tokenizer.backend_tokenizer.normalizer, Counter[str]()
    for word, times in words.items():
        for character in normalizer.normalize_str(word) if normalizer else word:
            found[character] += times
    alone = {character: tokenizer(character, add_special_tokens=False)["input_ids"] for character in found}
    return Counter({each: found[each] for each in found if tokenizer.unk_token_id in alone[each]})


def _with(old: Tokenizer, first: int, new: NewPieces) -> Tokenizer:
    """The tokenizer with the pieces numbered from `first`, in its model: at word boundaries they are as all others."""
    made = json.loads(old.to_str())
    model, added = made["model"], {token["content"]: token["id"] for token in made["added_tokens"]}
    # added tokens stand in the vocabulary as well, else they would be numbered behind the pieces
    if model["type"] == "BPE":
        model["vocab"] |= added | {piece: first + index for index, piece in enumerate(new.all)}
        model["merges"] += [list(pair) for pair in new.merges]
    else:
        numbered = {index: piece for piece, index in added.items()}
        gap = [[numbered.get(index, f"<row {index}>"), 0.0] for index in range(len(model["vocab"]), first)]
        model["vocab"] += [*gap, *_scored(dict(model["vocab"]), new)]
    return Tokenizer.from_str(json.dumps(made))


def _scored(known: dict[str, float], new: NewPieces) -> Iterator[tuple[str, float]]:
    """With their log-probabilities: a merged piece is as likely as the rarer of its parts, so more than both in a row."""
    scores = dict.fromkeys(new.characters, min(known.values()))
    for left, right in new.merges:
        scores.setdefault(left + right, min(scores[part] if part in scores else known[part] for part in (left, right)))
    yield from scores.items()
