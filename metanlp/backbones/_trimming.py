"""A pretrained vocabulary cut down to the pieces that some texts need: other pieces cost memory and are never read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from metanlp.data.merges import SPACE
from metanlp.errors import UserError

AT_ONCE = 1000  # texts
KEPT_AS_THEY_ARE = ("model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces")


def trim(encoder: Any, tokenizer: Any, texts: Iterable[str]) -> Any:
    """The tokenizer with the pieces that `texts` need, and `encoder` with the rows of its embedding for just these.

    Marks and single characters stay too, so a text with other words is cut into smaller pieces and not unknown. The order
    of the pieces stays, and `texts` are cut as before: a unigram tokenizer takes the most likely pieces, and those are
    among fewer now. UserError for a tokenizer of another kind.
    """
    from tokenizers import Tokenizer
    from torch import nn
    from transformers import PreTrainedTokenizerFast

    facts = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {}
    if facts.get("model", {}).get("type") != "Unigram":
        raise UserError("backbone.trim works on sentencepiece's unigram tokenizers (XLM-R, multilingual E5) alone")
    pieces = facts["model"]["vocab"]
    kept = sorted(_marks(facts) | _characters(pieces) | {_rarest(pieces)} | set(_used(tokenizer, texts)))
    tokenizer_of_kept = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(_only(facts, kept))),
        **tokenizer.special_tokens_map,
        **{name: getattr(tokenizer, name) for name in KEPT_AS_THEY_ARE},
    )
    rows = encoder.get_input_embeddings().weight.detach()[kept].clone()
    pad = tokenizer_of_kept.pad_token_id
    encoder.set_input_embeddings(nn.Embedding.from_pretrained(rows, padding_idx=pad))
    encoder.config.vocab_size, encoder.config.pad_token_id = len(kept), pad
    return tokenizer_of_kept


def _used(tokenizer: Any, texts: Iterable[str]) -> Iterator[int]:
    waiting = iter(texts)
    while some := list(islice(waiting, AT_ONCE)):
        for ids in tokenizer(some, add_special_tokens=False)["input_ids"]:
            yield from ids


def _marks(facts: dict[str, Any]) -> set[int]:
    return {token["id"] for token in facts["added_tokens"]} | {facts["model"]["unk_id"]}


def _characters(pieces: list[tuple[str, float]]) -> set[int]:
    return {index for index, (piece, _) in enumerate(pieces) if len(piece.removeprefix(SPACE)) <= 1}


def _rarest(pieces: list[tuple[str, float]]) -> int:
    """What an unknown character costs hangs on the lowest score."""
    return min(range(len(pieces)), key=lambda index: pieces[index][1])


def _only(facts: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """The tokenizer's own description with these pieces, renumbered wherever a number stands.

    Tokens that were added to a finished vocabulary have the numbers after it.
    """
    new = {old: index for index, old in enumerate(kept)}
    model = facts["model"]
    processor = facts["post_processor"]
    if processor and "special_tokens" in processor:
        marks = {
            name: {**mark, "ids": [new[old] for old in mark["ids"]]}
            for name, mark in processor["special_tokens"].items()
        }
        processor = {**processor, "special_tokens": marks}
    return {
        **facts,
        "added_tokens": [{**token, "id": new[token["id"]]} for token in facts["added_tokens"]],
        "post_processor": processor,
        "model": {
            **model,
            "vocab": [model["vocab"][old] for old in kept if old < len(model["vocab"])],
            "unk_id": new[model["unk_id"]],
        },
    }
