"""Which languages a tokenizer has codes for, and where a code's piece stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from metanlp.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from metanlp.data.types import Prompt

MARIAN = re.compile(r">>(.+?)<<")
SPELLINGS = {"M2M100Tokenizer": "__{}__", "MarianTokenizer": ">>{}<<"}  # others write the code as it is


@dataclass(frozen=True)
class Languages:
    """The pieces of a tokenizer's language codes, and where they stand.

    `before` "both": each side begins with its own language (NLLB, M2M100, mBART-50). "source": the source begins with the
    target's (Marian to many languages). "none": the tokenizer has no codes, languages are words in the prompt (T5).
    """

    ids: Mapping[str, int]
    before: Literal["both", "source", "none"]

    def id_of(self, code: str | None) -> int:
        """The piece of a language code; UserError with the nearest codes where the tokenizer does not know it."""
        if code is None or code not in self.ids:
            side = "target_language" if self.before == "source" else "source_language and target_language"
            some = ", ".join(sorted(self.ids)[:3])
            raise UserError(
                f"the tokenizer knows no language {code!r}{self.nearest(code or '')}; give a task's {side} in collection.yaml "
                f"(or --info) as one of its {len(self.ids)} codes, as {some}, or add the code by task.new_languages"
            )
        return self.ids[code]

    def nearest(self, code: str) -> str:
        """` (did you mean 'x'?)`, also where a code has no script, as deu for deu_Latn; or nothing."""
        scripts = [each for each in sorted(self.ids) if each.partition("_")[0] == code]
        return f" (did you mean {scripts[0]!r}?)" if scripts else did_you_mean(code, self.ids)

    def of(self, row: Prompt, side: str) -> int | None:
        """The piece that stands before a row's source or target, if any does."""
        if self.before == "both":
            return self.id_of(row.source_language if side == "source" else row.target_language)
        return self.id_of(row.target_language) if self.before == "source" and side == "source" else None

    def named(self, row: Prompt) -> Prompt:
        """A row that begins with Marian's own >>code<<, written by hand into the prompt, as one that names its language."""
        if self.before != "source" or row.target_language is not None:
            return row
        found = MARIAN.match(row.input)
        return replace(row, target_language=found[1], input=row.input[found.end() :]) if found else row


def languages_of(tokenizer: PreTrainedTokenizerBase) -> Languages:
    """The codes as people write them, without the marks that M2M100 (`__af__`) and Marian (`>>deu<<`) put around them."""
    known: Any = tokenizer
    if hasattr(known, "supported_language_codes"):  # Marian
        tokens = [*known.supported_language_codes, *known.added_tokens_encoder]
        codes = {found[1]: token for token in tokens if (found := MARIAN.fullmatch(token))}
        return Languages(_ids(known, codes), "source" if codes else "none")
    if not hasattr(known, "src_lang"):
        return Languages({}, "none")
    special = [str(token) for token in known.all_special_tokens]
    if hasattr(known, "lang_code_to_token"):  # M2M100, whose table does not have what was added
        added = {token.strip("_"): token for token in special if token.startswith("__")}
        return Languages(_ids(known, {**known.lang_code_to_token, **added}), "both")
    named = {known.pad_token, known.eos_token, known.bos_token, known.unk_token}
    return Languages(_ids(known, {token: token for token in special if token not in named and token[0] != "<"}), "both")


def spelt(tokenizer: PreTrainedTokenizerBase, code: str) -> str:
    """The code as it stands in the tokenizer's vocabulary: af is __af__ to M2M100."""
    return SPELLINGS.get(type(tokenizer).__name__, "{}").format(code)


def _ids(tokenizer: Any, codes: Mapping[str, str]) -> dict[str, int]:
    return {code: tokenizer.convert_tokens_to_ids(token) for code, token in codes.items()}
