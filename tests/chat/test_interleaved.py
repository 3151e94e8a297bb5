"""Whatever people do one after another, nobody ever has another's adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from talker import NAMES, same, weights_of

from metanlp.chat.lines import lines_of_text
from metanlp.chat.session import Session
from metanlp.data.types import Example
from metanlp.run import Run
from metanlp.weights import Weights


class Interleaved(RuleBasedStateMachine):
    """Teach, forget, switch, evict, answer, restart, in any order: everybody has the weights of their own lines."""

    make: Callable[[], Session]  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.session = type(self).make()
        self.lines: dict[str, list[Example]] = {}
        self.wanted: dict[tuple[str, ...], Weights] = {}  # lines -> what the first who learnt them got
        self.waiting: list = []

    @rule(name=st.sampled_from(NAMES), line=st.sampled_from(["aa", "bb", "cc"]), wait=st.booleans())
    def teach(self, name: str, line: str, wait: bool) -> None:
        teaching = self.session.teach(name, lines_of_text(line))
        known = self.lines.setdefault(name, [])
        known += [each for each in lines_of_text(line) if each not in known]
        self.waiting.append(teaching)
        if wait:
            assert teaching.wait(60)

    @rule(name=st.sampled_from(NAMES))
    def forget(self, name: str) -> None:
        if name in self.lines:
            self.session.forget(name)
            del self.lines[name]

    @rule(name=st.sampled_from(NAMES))
    def switch_and_answer(self, name: str) -> None:
        self.session.open(name)
        self.lines.setdefault(name, [])
        "".join(self.session.reply(name, "hello"))

    @rule()
    def evict(self) -> None:
        self.session._adapters.most = 1

    @rule()
    def restart(self) -> None:
        self.session.close()
        self.session = type(self).make()
        for name in self.lines:
            self.session.open(name)
            if teaching := self.session.teaching(name):
                self.waiting.append(teaching)

    @invariant()
    def nobody_has_anothers(self) -> None:
        """Lines tell whose weights these are: people with the same lines have equal ones, with others different ones."""
        for teaching in self.waiting:
            assert teaching.wait(60)
            assert teaching.state in ("ready", "replaced")
        self.waiting = []
        assert {person.name for person in self.session.people()} == set(self.lines)
        for name, lines in self.lines.items():
            found = weights_of(self.session, name)
            key = tuple(line.target for line in lines)
            assert same(found, self.session._model.start) == (not lines)
            for other, theirs in self.wanted.items():
                close = all(torch.allclose(found[each], theirs[each], rtol=1e-2, atol=1e-3) for each in found)
                assert close == (sorted(other) == sorted(key)), (name, key, other)
            self.wanted.setdefault(key, found)

    def teardown(self) -> None:
        self.session.close()


def test_nobody_ever_has_anothers_adapter(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = Run.open(talker)

    class Machine(Interleaved):
        def __init__(self) -> None:
            folder = tmp_path_factory.mktemp("people")
            type(self).make = staticmethod(lambda: Session(run, people=folder, device="cpu", max_new_tokens=3))
            super().__init__()

    run_state_machine_as_test(Machine, settings=settings(max_examples=10, stateful_step_count=10, deadline=None))
