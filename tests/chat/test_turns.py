"""Who runs the model when: one at a time, replies first, and nobody waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from metanlp.chat import turns as module
from metanlp.chat.turns import Turns


def test_one_at_a_time() -> None:
    turns, inside, most = Turns(), 0, 0
    lock = threading.Lock()

    def work(kind: str) -> None:
        nonlocal inside, most
        for _ in range(20):
            with getattr(turns, kind)():
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.0005)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work, args=(kind,)) for kind in ("reply", "reply", "reply")]
    for thread in threads:
        thread.start()
    work("reply")
    for thread in threads:
        thread.join()
    assert most == 1


def test_learning_waits_until_no_reply_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 0.1)
    turns, order = Turns(), []
    learnt = threading.Event()

    def learn() -> None:
        with turns.learn():
            order.append("learn")
        learnt.set()

    with turns.reply():
        order.append("reply")
        thread = threading.Thread(target=learn)
        thread.start()
    for _ in range(10):  # pieces of one answer
        with turns.reply():
            order.append("reply")
        time.sleep(0.02)
    assert learnt.wait(10)
    thread.join()
    assert order == ["reply"] * 11 + ["learn"]


def test_a_reply_that_waited_for_a_step_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the step took: whoever waits is not quiet."""
    monkeypatch.setattr(module, "QUIET", 0.01)
    turns, order, asked = Turns(), [], threading.Event()

    def reply() -> None:
        asked.set()
        with turns.reply():
            order.append("reply")

    thread = threading.Thread(target=reply)
    with turns.learn():
        order.append("learn")
        thread.start()
        assert asked.wait(30)
        time.sleep(0.2)
    with turns.learn():
        order.append("learn")
    thread.join(30)
    assert order == ["learn", "reply", "learn"]


def test_learning_goes_on_where_people_talk_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 0.3)
    turns, stop = Turns(), threading.Event()

    def talk() -> None:
        while not stop.is_set():
            with turns.reply():
                time.sleep(0.001)

    def learn() -> None:
        with turns.learn():
            learnt.set()

    learnt, begun = threading.Event(), time.monotonic()
    threads = [threading.Thread(target=target, daemon=True) for target in (talk, talk, learn)]
    for thread in threads:
        thread.start()
    assert learnt.wait(30)
    assert time.monotonic() - begun > 0.25
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_turn_that_fails_is_over() -> None:
    turns = Turns()
    with pytest.raises(RuntimeError, match="burst"), turns.learn():
        raise RuntimeError("burst")
    with turns.reply():
        pass
