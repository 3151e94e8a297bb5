"""A pretrained model with a larger vocabulary: codes of new languages, and rows that start from related ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils import logging

from metanlp.backbones._languages import languages_of, spelt
from metanlp.errors import Problems

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Starts = dict[int, Sequence[int]]  # a new row -> the rows whose mean it starts from


def add_languages(tokenizer: PreTrainedTokenizerBase, languages: Mapping[str, str | None]) -> Starts:
    """Add codes to the tokenizer; nothing where it names languages in words. UserError with all that is wrong."""
    problems, known = Problems("task.new_languages"), languages_of(tokenizer)
    for code, like in languages.items():
        for problem in _wordy(tokenizer, code, like) if known.before == "none" else _coded(tokenizer, code, like):
            problems.add(problem)
    problems.raise_if_any()
    if known.before == "none":
        return {}
    _register_table(tokenizer)
    tokens = [spelt(tokenizer, code) for code in languages]
    tokenizer.add_special_tokens({"extra_special_tokens": tokens}, replace_extra_special_tokens=False)
    ids = languages_of(tokenizer).ids
    means = sorted(known.ids.values())
    return {ids[code]: means if like is None else [known.ids[like]] for code, like in languages.items()}


@torch.no_grad()
def make_rows(model: Any, starts: Starts) -> None:
    """Give the embeddings, and what else has a number for every piece, the rows of `starts`. No old number changes."""
    if not starts:
        return
    pieces = max(model.get_input_embeddings().weight.shape[0], max(starts) + 1)
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # Marian draws rows of its own, and says so, whatever it is asked for
    model.resize_token_embeddings(pieces, mean_resizing=False)
    logging.set_verbosity(before)
    if hasattr(model.config, "share_encoder_decoder_embeddings"):
        model.config.vocab_size = pieces  # Marian itself tells only the decoder
    tensors = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    if hasattr(model, "final_logits_bias"):
        tensors.append(model.final_logits_bias[0])
    for rows in tensors:
        for new, old in starts.items():
            rows[new] = rows[list(old)].mean(0) if len(old) > 1 else rows[old[0]]


def _coded(tokenizer: PreTrainedTokenizerBase, code: str, like: str | None) -> list[str]:
    """What is wrong with a new code of a tokenizer that has codes."""
    languages = languages_of(tokenizer)
    known = languages.ids
    if code in known:
        return [f"the tokenizer knows {code} already; take it out"]
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]+", code) or spelt(tokenizer, code) in tokenizer.get_vocab():
        return [f"{code!r} cannot be a code: write it as the others, such as {', '.join(sorted(known)[:3])}"]
    if like is not None and like not in known:
        return [f"{code} is to be like {like!r}, which the tokenizer does not know{languages.nearest(like)}"]
    return []


def _wordy(tokenizer: Any, code: str, like: str | None) -> list[str]:
    """What is wrong with a new code of a tokenizer that has none: it is a word of the prompt."""
    if like is not None:
        return [
            f"{code} is to be like {like!r}, but this model has no language codes, so no row to start from: languages are "
            "words in its prompt, as {target_language} in task.prompt; take `like` out"
        ]
    ids = tokenizer(code, add_special_tokens=False)["input_ids"]
    if tokenizer.unk_token_id in ids or tokenizer.decode(ids).strip() != code:
        return [f"{code!r} has letters that the tokenizer does not know; name the language by others"]
    return []


def _register_table(tokenizer: Any) -> None:
    """Make M2M100's table of codes ordinary added tokens: a new one would else take the number of the table's first."""
    table = list(getattr(tokenizer, "lang_code_to_token", {}).values())
    if missing := [token for token in table if token not in tokenizer.added_tokens_encoder]:
        wanted = {token: tokenizer.convert_tokens_to_ids(token) for token in missing}
        tokenizer.add_special_tokens({"extra_special_tokens": missing}, replace_extra_special_tokens=False)
        if any(tokenizer.added_tokens_encoder[token] != index for token, index in wanted.items()):
            raise RuntimeError(f"the tokenizer numbers its codes anew: {missing[0]} was {wanted[missing[0]]}")
