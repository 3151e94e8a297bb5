"""How a causal model's tokenizer writes a chat down: which pieces it reads, and which ones of a reply it learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from metanlp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from metanlp.data.types import Prompt

# For models without a form of their own: a line for every turn, and the end of text after what the model has said.
PLAIN = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}\n"
    "{% elif message.role == 'user' %}user: {{ message.content }}\n"
    "{% else %}assistant: {{ message.content }}{{ eos_token }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
# Put before a template, it hides the function of this name that tells templates the date: some write it into every chat, and
# a run would be measured otherwise each day. The day is the one that Llama 3's templates take where they cannot ask.
SAME_DAY = (
    "{% macro strftime_now(format) %}{{ format | replace('%d', '26') | replace('%m', '07') | replace('%b', 'Jul') "
    "| replace('%B', 'July') | replace('%Y', '2024') }}{% endmacro %}\n"
)
PROBES = ("alpha", "beta", "gamma", "delta")  # words that no template has in it


@dataclass(frozen=True)
class Pieces:
    """What stands before a reply, and the reply with the mark that ends it; whether the one or the other was shortened."""

    before: list[int]
    reply: list[int]
    shortened: bool = False
    cut: bool = False


class ChatForm:
    """The tokenizer's chat template, tried once on a made-up chat. UserError where a reply cannot be told from the rest.

    `end` is the piece that ends a reply. Where a template has no system message, `system` opens the first turn; where a
    chat must begin with the user, what the model said before that is left out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer: Any = tokenizer
        self.template = SAME_DAY + (tokenizer.get_chat_template() if tokenizer.chat_template else PLAIN)
        added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self.marks = sorted({*tokenizer.all_special_tokens, *added}, key=len, reverse=True)
        said, asked, system, reply = PROBES
        self.knows_system = self._takes([("system", system), ("user", asked)])
        self.may_open = self._takes([("assistant", said), ("user", asked)])
        before, whole = (self._written("", [asked], text) for text in (None, reply))
        rest = whole[len(before) :]
        if not whole.startswith(before) or reply not in rest:
            raise UserError(
                f"the chat template of {tokenizer.name_or_path!r} writes a chat with a reply otherwise than the chat before it "
                "and the reply, so it does not tell which pieces the reply is; save the tokenizer with another template"
            )
        self.tail = rest.partition(reply)[2]
        self.closing, self.end = self._end_of(self.tail)

    def pieces(self, prompt: Prompt, room: int, *, answered: bool = True) -> Pieces:
        """At most `room` pieces: the oldest turns go first, then the beginning of the last, then the end of the reply.

        Not `answered`: those before the reply alone. UserError where no piece of the reply would be left.
        """
        turns, shortened = list(prompt.turns or [prompt.input]), False
        while True:
            before, reply = self._pieces(prompt.system, turns, prompt.output if answered else None)
            over = len(before) + len(reply) - room
            if over <= 0:
                return Pieces(before, reply, shortened)
            if len(turns) == 1 and not turns[0]:
                break
            turns = turns[1:] if len(turns) > 1 else [self._later(turns[0], over)]
            shortened = True
        if len(before) >= room:
            raise UserError(
                f"backbone.max_length leaves room for {room} pieces, and {len(before)} stand before a reply to nothing: raise "
                "it, or shorten what is read first (task.system)"
            )
        return Pieces(before, reply[: room - len(before)], shortened, cut=True)

    def _pieces(self, system: str, turns: Sequence[str], reply: str | None) -> tuple[list[int], list[int]]:
        before = self._written(system, turns)
        read = self._encode(before)
        if reply is None:
            return read, []
        whole = self._written(system, turns, reply)
        if not (whole.startswith(before) and whole.endswith(self.tail)):
            raise UserError(f"the chat template does not write this reply as it wrote others: {reply[:80]!r}")
        rest = whole[len(before) : len(whole) - len(self.tail)] + self.closing
        both = self._encode(before + rest)
        return read, both[len(read) :] if both[: len(read)] == read else self._encode(rest)

    def _written(self, system: str, turns: Sequence[str], reply: str | None = None) -> str:
        """The chat as the template writes it, up to where a reply begins, or with the reply."""
        if len(turns) % 2 == 0 and not self.may_open:
            turns = turns[1:]
        if system and not self.knows_system:
            turns, system = [f"{system}\n\n{turns[0]}", *turns[1:]], ""
        last = len(turns) - 1
        chat = [("assistant" if (last - at) % 2 else "user", text) for at, text in enumerate(turns)]
        return self._by_template(
            [("system", system)] * bool(system) + chat + [("assistant", reply)] * (reply is not None), reply is None
        )

    def _by_template(self, chat: Sequence[tuple[str, Any]], asks: bool) -> str:
        written: str = self.tokenizer.apply_chat_template(
            [{"role": role, "content": self._harmless(text)} for role, text in chat],
            chat_template=self.template,
            tokenize=False,
            add_generation_prompt=asks,
            enable_thinking=False,  # a reply comes at once, in the models that would think before it
        )
        return written

    def _takes(self, chat: Sequence[tuple[str, str]]) -> bool:
        try:
            written = self._by_template(chat, True)
        except TemplateError:
            return False
        return all(text in written for _, text in chat)

    def _end_of(self, tail: str) -> tuple[str, int]:
        """What follows a reply up to the mark that ends it, and the mark: the end of text where the template has none."""
        for name in sorted((name for name in self.marks if name in tail), key=tail.index):
            return tail[: tail.index(name) + len(name)], self._encode(name)[0]
        if self.tokenizer.eos_token is None:
            raise UserError(f"{self.tokenizer.name_or_path!r} has no mark for the end of a reply, nor of a text")
        return self.tokenizer.eos_token, self.tokenizer.eos_token_id

    def _harmless(self, text: str) -> str:
        """A text in which nobody writes a mark: a space goes into what looks like one."""
        for name in self.marks:
            text = text.replace(name, f"{name[0]} {name[1:]}")
        return text

    def _later(self, text: str, pieces: int) -> str:
        """The text without its first `pieces` pieces, and without one character at least."""
        ids = self._encode(text)
        kept = self.tokenizer.decode(ids[pieces:]) if pieces < len(ids) else ""
        return text[max(1, len(text) - len(kept)) :]

    def _encode(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return found
