"""Exports: an adapter that plain PEFT loads, in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from talker import taught, weights_of

from metanlp.chat.people import ADAPTER, LINES
from metanlp.errors import UserError


def test_export_is_an_adapter_of_plain_peft_with_the_same_logits(session_of, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    session = session_of()
    with pytest.raises(UserError, match="no adapter yet"):
        session.export(session.open("Anna").name, tmp_path / "out")
    taught(session, "Anna", "hello => aaaaaa")
    folder = session.export("Anna", tmp_path / "out")
    session.export("Anna", folder)  # the same again is fine
    assert [json.loads(line)["reply"] for line in (folder / LINES).read_text().splitlines()] == ["aaaaaa"]
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder).eval()
    ids = torch.tensor([[5, 9, 12, 40, 7]])
    with torch.no_grad():
        wanted = plain(input_ids=ids).logits
        plain_start = plain.unload()(input_ids=ids).logits
    with session._model.parts.learner.using(weights_of(session, "Anna")) as model:
        found = model(input_ids=ids).logits
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert (wanted - plain_start).abs().max() > 0.01
    assert (session.open("Anna").folder / ADAPTER / "adapter_model.safetensors").read_bytes() == (
        folder / "adapter_model.safetensors"
    ).read_bytes()


def test_export_into_anything_else_is_refused(session_of, tmp_path: Path) -> None:
    session = session_of()
    taught(session, "Anna", "hello => aaaaaa")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="something else in it"):
        session.export("Anna", tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").exists()


def test_what_was_put_beside_an_export_stays(session_of, tmp_path: Path) -> None:
    session = session_of()
    taught(session, "Anna", "hello => aaaaaa")
    folder = session.export("Anna", tmp_path / "out")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="something else in it"):
        session.export("Anna", folder)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    session.export("Anna", folder)
