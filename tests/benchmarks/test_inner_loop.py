"""Every peer finds the meta-gradient that metanlp finds, and what is not there says so."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cases
import peers
import pytest
import sides
import torch
from cases import Case

T5 = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
LLAMA = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


@pytest.fixture(params=[T5, LLAMA], ids=["t5", "llama"], autouse=True)
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cases.SIZES, "tiny", request.param)


def grads_of(case: Case, name: str) -> dict[str, Any]:
    side = sides.Sides(case).make(name)
    side.run()
    side.run()  # must begin again from zero
    return side.grads()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, all_of in sides.PEERS.items() for name in all_of if name not in sides.EXTRA],
)
def test_a_peer_finds_the_same_meta_gradient(kind: str, name: str) -> None:
    case = Case(kind, "tiny", 3, 2, 5)
    assert sides.difference(grads_of(case, name), grads_of(case, "metanlp")) < 1e-5


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_gradient_at_other_weights_is_told_apart(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(kind, "tiny", 3, 2, 5)
    ours = grads_of(case, "metanlp")
    monkeypatch.setattr(sides, "INNER_LR", 0.0)  # nothing adapts
    assert sides.difference(grads_of(case, "functional_call"), ours) > 0.01


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_peer_that_is_not_to_be_measured_says_why(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: Any, learning_rate: float) -> peers.Episode:
        """Has moved the weights when it meets what it does not know."""

        def episode(batches: Any) -> None:
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(1)
            raise TypeError("a model of today\nand more")

        return episode

    def idle(model: Any, learning_rate: float) -> peers.Episode:
        return peers.functional_call(model, 0.0)

    def burst(model: Any, learning_rate: float) -> peers.Episode:
        return peers.functional_call(model, math.nan)

    wrong = {"broken": broken, "idle": idle, "burst": burst}
    monkeypatch.setitem(sides.PEERS, kind, {**wrong, "functional_call": peers.functional_call})
    found = sides.refused(Case(kind, "tiny", 3, 2, 5))
    assert found.keys() == wrong.keys()
    assert found["broken"] == "does not run: TypeError, a model of today"
    assert re.fullmatch(r"wrong by 0\.\d+ of its norm", found["idle"])
    assert found["burst"] == "wrong by nan of its norm"
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_sides_that_share_a_model_leave_it_as_it_was(kind: str) -> None:
    maker = sides.Sides(Case(kind, "tiny", 2, 2, 5))
    names = [name for name in sides.names_of(maker.case) if name not in sides.EXTRA]
    made = {name: maker.make(name) for name in names}
    for name in names * 2:
        made[name].run()
    last = made["functional_call"]
    last.run()
    assert sides.difference(last.grads(), grads_of(maker.case, "metanlp")) < 1e-5


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sides.EXTRA, "no_such_library", sides.EXTRA["higher"])
    with pytest.raises(sides.Unavailable, match="not installed"):
        sides.Sides(Case("full", "tiny", 1, 1, 4)).make("no_such_library")


@pytest.mark.parametrize("name", ["full-2M-4x8", "half-2M-4x8x32", "full-3M-4x8x32"])
def test_a_case_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is no case"):
        Case.read(name)


def test_a_case_is_written_as_it_is_read() -> None:
    assert str(Case.read("lora-135M-8x1x16")) == "lora-135M-8x1x16"


def test_a_side_that_is_none_is_told_with_those_that_are() -> None:
    command = [sys.executable, str(Path(sides.__file__).parent), "full-2M-1x1x4", "--side", "plain + Adam"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no plain + Adam; there are: plain; zeroed; plain + SGD; metanlp; metanlp, clip;" in done.stderr


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_chosen_sides_stand_beside_plain_and_metanlp(kind: str) -> None:
    case = Case(kind, "tiny", 1, 1, 4)
    assert sides.names_of(case, ["functional_call", "plain + SGD"]) == [
        "plain",
        "plain + SGD",
        "metanlp",
        "functional_call",
    ]
    assert set(sides.names_of(case)) > {"plain", "plain + SGD", "metanlp", "functional_call"}
