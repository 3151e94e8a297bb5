"""People and a model that answers as each of them: what the terminal and the web page show, without showing anything.

Every method may be called from any thread. People are named as they are typed; capitals and spaces around make no other
person of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any, TypeVar

from metanlp.chat.adapters import Adapters, Key
from metanlp.chat.exporting import export_person
from metanlp.chat.learning import Learning
from metanlp.chat.lines import one_line
from metanlp.chat.model import Model
from metanlp.chat.people import ADAPTER, Forgotten, Learnt, People, Person, key_of, tidy
from metanlp.chat.teaching import Teaching
from metanlp.data.seeds import seed_of
from metanlp.data.types import Example
from metanlp.errors import UserError, did_you_mean
from metanlp.pipelines._inputs import device_of
from metanlp.run import Run
from metanlp.weights import Weights

Message = dict[str, str]  # as Hugging Face knows it: {"role": "user" or "assistant", "content": ...}

T = TypeVar("T")


class Session:
    """`Session(run)`; a conversation with each person lasts as long as the session, what they were taught stays on disk.

    Where several talk at once, each names a `window` of their own: people are the same in all, conversations are not.
    Learning goes on in the background, a step at a time, and gives way to whoever wants a reply.
    """

    def __init__(
        self,
        run: Run | str | Path,
        *,
        people: str | Path | None = None,
        device: int | str | None = None,
        max_new_tokens: int = 80,
        temperature: float = 0.0,
        top_p: float = 1.0,
    ) -> None:
        """`people` is the folder that they are kept in, by default the run's own. A `temperature` of 0 takes the likeliest
        piece; above it, pieces are drawn from those that make up `top_p` of the probability.

        UserError where the run is no dialogue, not trained to its end, or has no adapters beside a frozen model.
        """
        self.run = run if isinstance(run, Run) else Run.open(run)
        self.options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p}
        self._model = Model(self.run, device_of(device))
        self._people = People(Path(people) if people is not None else self.run.folder / "people")
        self._adapters = Adapters()
        self._conversations: dict[tuple[str, str], list[Message]] = {}  # by person and window
        self._teachings: dict[str, Teaching] = {}
        self._lock = RLock()  # over people, adapters, conversations and teachings; whoever has it asks for no turn
        self._learning = Learning(self._model, self._learnt)

    def people(self) -> list[Person]:
        """Everybody, by name."""
        with self._lock:  # while somebody is written, their folder is gone for an instant
            return self._people.all()

    def open(self, name: str) -> Person:
        """The person of that name, a new one where there is none. UserError for what is no name.

        Where their adapter is missing or of other weights, learning their lines anew begins (`teaching`).
        """
        with self._lock:
            person = self._people.get(name) or self._people.keep(name, [])
            learnt, teaching = person.learnt, self._teachings.get(key_of(name))
            fresh = learnt is not None and learnt.base == self._model.base and learnt.lines == person.lines
            if person.lines and not fresh and (teaching is None or teaching.ended):
                self._begin(person, self._people.lines(person))
            return person

    def teach(self, name: str, examples: Sequence[Example]) -> Teaching:
        """Keep more lines of a person, and begin to learn all of theirs; `lines_of_text` and `lines_of_file` make examples.

        A teaching that is still going on for that person is replaced by this one. Until it is `ready`, replies are as
        before; from then on, as it says.
        """
        if not examples:
            raise UserError(f"there are no lines to teach {tidy(name)}")
        with self._lock:
            person = self._people.get(name)
            known = self._people.lines(person) if person else []
            lines = [*known, *_as_new_dialogues(examples, known)]
            return self._begin(self._people.keep(name, lines), lines)

    def teaching(self, name: str) -> Teaching | None:
        """The last teaching of a person in this session."""
        return self._teachings.get(key_of(name))

    def conversation(self, name: str, window: str = "") -> list[Message]:
        """What was said so far, the oldest first; a copy."""
        return [dict(message) for message in self._conversations.get((key_of(name), window), [])]

    def reply(self, name: str, message: str, adapted: bool = True, window: str = "") -> Iterator[str]:
        """The person's answer in pieces as they are written; joined, they are the whole. Not `adapted`: the model's own.

        Message and answer then belong to the conversation, also where the caller closes the iterator before its end.
        """
        [answer], told = self._answers(name, message, [adapted], window)
        return told(answer, lambda piece: piece)

    def both(self, name: str, message: str, window: str = "") -> Iterator[tuple[str, str]]:
        """Pieces of two answers to the same message side by side: the model's own, and the person's.

        Either piece may be empty. The person's answer is the one that belongs to the conversation afterwards.
        """
        (own, theirs), told = self._answers(name, message, [False, True], window)
        pairs = ((first or "", second or "") for first, second in zip_longest(own, theirs))
        return told(pairs, lambda pair: pair[1])

    def reset(self, name: str, window: str = "") -> int:
        """Begin the conversation anew; returns how many messages there were."""
        return len(self._conversations.pop((key_of(name), window), []))

    def leave(self, window: str) -> None:
        """Forget what was said in a window that was closed."""
        with self._lock:
            for talk in [talk for talk in self._conversations if talk[1] == window]:
                self._conversations.pop(talk, None)

    def forget(self, name: str) -> Forgotten:
        """Delete a person: lines, adapter, what is in memory, conversations. A teaching that is going on comes to nothing.

        The result says what was deleted (`str(forgotten)` is a sentence). UserError where there is no such person.
        """
        with self._lock:
            gone = self._people.forget(name)
            key, teaching = key_of(name), self._teachings.pop(key_of(name), None)
            going_on = teaching is not None and not teaching.ended
            if teaching is not None:
                teaching.end("replaced")
            in_memory = self._adapters.forget(key)
            talks = [talk for talk in list(self._conversations) if talk[0] == key]
            messages = sum(len(self._conversations.pop(talk, [])) for talk in talks)
            return Forgotten(gone.name, gone.folder, gone.lines, gone.adapter_bytes, in_memory, messages, going_on)

    def export(self, name: str, folder: str | Path) -> Path:
        """Write a PEFT adapter folder with the person's lines beside it (`lines.jsonl`); returns the folder.

        UserError where the person has no adapter yet, or the folder is in use by something else.
        """
        with self._lock:
            return export_person(self._known(name), Path(folder).expanduser())

    def close(self) -> None:
        """End the background thread; a teaching that is going on comes to nothing, but its lines are kept."""
        self._learning.close()
        for teaching in self._teachings.values():
            teaching.end("replaced")

    def _known(self, name: str) -> Person:
        person = self._people.get(name)
        if person is None:
            known = [each.name for each in self._people.all()]
            raise UserError(
                f"there is nobody called {tidy(name)!r}{did_you_mean(name, known)}; teach them, or create them"
            )
        return person

    def _begin(self, person: Person, lines: Sequence[Example]) -> Teaching:
        key = key_of(person.name)
        if key in self._teachings:
            self._teachings[key].end("replaced")
        self._teachings[key] = Teaching(person.name, len(lines))
        self._learning.add(self._teachings[key], lines)
        return self._teachings[key]

    def _learnt(self, teaching: Teaching, lines: Sequence[Example], weights: Weights) -> None:
        """Keep what was learnt of a person, if it is still wanted: from here on they answer with it."""
        facts = Learnt(self._model.base, len(lines), teaching.steps, round(teaching.seconds, 1))
        with TemporaryDirectory() as aside:
            made = Path(aside) / ADAPTER
            self._model.save(made, weights)
            with self._lock:
                if not teaching.ended:
                    self._people.keep(teaching.person, lines, facts, made)
                    teaching.end("ready")

    def _weights(self, person: Person) -> Weights:
        """The person's, where they have any for this model; else the start."""
        if not person.adapter or person.learnt is None or person.learnt.base != self._model.base:
            return self._model.start
        key = Key(key_of(person.name), person.adapter, self._model.base)
        return self._adapters.get(key, lambda: self._model.load(person.folder / ADAPTER))

    def _answers(
        self, name: str, message: str, adapted: Sequence[bool], window: str
    ) -> tuple[list[Iterator[str]], Callable[[Iterator[T], Callable[[T], str]], Iterator[T]]]:
        """The streams of answers to a message, and what makes a conversation of what is read of them."""
        said = one_line(message)
        if not said:
            raise UserError("there is nothing to answer; type a message")
        with self._lock:
            person = self._known(name)
            conversation = self._conversations.setdefault((key_of(name), window), [])
            lines = [*(each["content"] for each in conversation), said]
            weights = [self._weights(person) if own else self._model.start for own in adapted]
        seed = seed_of(self.run.recipe.seed, "reply", len(conversation))
        streams = [self._model.stream(each, lines, seed=seed, **self.options) for each in weights]

        def told(pieces: Iterator[T], text_of: Callable[[T], str]) -> Iterator[T]:
            answer = []
            try:
                for piece in pieces:
                    if self._conversations.get((key_of(name), window)) is not conversation:
                        return  # begun anew, or the person was forgotten: nobody goes on as they were
                    answer.append(text_of(piece))
                    yield piece
            finally:
                if any(answer):
                    conversation.extend([_message("user", said), _message("assistant", "".join(answer))])

        return streams, told


def _message(role: str, text: str) -> Message:
    return {"role": role, "content": one_line(text)}


def _as_new_dialogues(examples: Sequence[Example], known: Sequence[Example]) -> list[Example]:
    """Those that are not known yet, in dialogues of their own: what was typed line by line is a dialogue each."""
    seen = {(example.source, example.target) for example in known}
    teaching = 1 + max((int(example.group.partition(".")[0]) for example in known), default=0)
    return [
        replace(example, id="", pool="", group=f"{teaching}.{example.group or place}")
        for place, example in enumerate(examples, 1)
        if (example.source, example.target) not in seen
    ]
