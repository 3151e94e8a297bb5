"""Folders of pretrained models: opened, saved, opened again, and refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from real_formats import marian_asks
from seq2seq_rows import everyone, prompts

from metanlp.errors import UserError
from metanlp.registry import BACKBONES

pytestmark = marian_asks


@everyone
def test_a_saved_folder_opens_elsewhere_as_the_same(name: str, open_seq2seq, tmp_path: Path) -> None:
    backbone, rows = open_seq2seq(name), prompts(name)
    backbone.save(tmp_path / "saved")
    again = BACKBONES.get("seq2seq")(model=str(tmp_path / "saved")).open(str(tmp_path / "saved"))
    again.model.eval()
    first, second = backbone.encode([rows]), again.encode([rows])
    assert torch.equal(first.labels, second.labels)
    for key in first.inputs:
        assert torch.equal(first.inputs[key], second.inputs[key])
    with torch.no_grad():
        assert torch.equal(backbone.model(**first.inputs).logits, again.model(**second.inputs).logits)


def test_a_half_precision_checkpoint_is_opened_in_fp32(folder_of, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    AutoModelForSeq2SeqLM.from_pretrained(folder_of("t5"), dtype=torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder_of("t5")).save_pretrained(tmp_path)
    model = BACKBONES.get("seq2seq")(model=str(tmp_path)).open(str(tmp_path)).model
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_no_such_model_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"backbone.model 'no-such/model' is neither a folder nor a reachable Hub model"
    ):
        BACKBONES.get("seq2seq")(model="no-such/model").open("no-such/model")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"backbone.model"):
        BACKBONES.get("seq2seq")(model=str(tmp_path)).open(str(tmp_path))


def test_code_of_strangers_is_not_run(folder_of, tmp_path: Path) -> None:
    """A folder that brings its own modelling code is refused, not asked about on the terminal."""
    import json
    import shutil

    shutil.copytree(folder_of("t5"), tmp_path / "evil")
    config = json.loads((tmp_path / "evil/config.json").read_text())
    config.update(model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModelForSeq2SeqLM": "evil.Evil"})
    (tmp_path / "evil/config.json").write_text(json.dumps(config))
    (tmp_path / "evil/evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('ran')\nclass Evil: pass\n")
    code = "import sys\nfrom metanlp.registry import BACKBONES\nBACKBONES.get('seq2seq')(model=sys.argv[1]).open(sys.argv[1])"
    asked = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "evil")], input="y\n", capture_output=True, text=True, timeout=60
    )
    assert asked.returncode != 0
    assert "UserError" in asked.stderr
    assert not (tmp_path / "ran").exists()
