"""What tests of sharing share: trained runs with an adaptation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from adapted import EXAMPLES
from backbones.real_formats import e5
from makers import plain_recipe, write_collection

from metanlp.adaptation import adapt
from metanlp.config.load import build_recipe
from metanlp.run import Run
from metanlp.training import meta_train


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A trained run of each kind of fast weights, adapted to `cat`; "... on e5" stands on an encoder with a new decoder."""
    home = tmp_path_factory.mktemp("runs")
    ciphers = write_collection(home / "ciphers")
    facts = (ciphers / "collection.yaml").read_text().replace("CC0", "CC-BY-4.0")
    facts = facts.replace("made by a test", "https://huggingface.co/datasets/some/words, made by a test")
    (ciphers / "collection.yaml").write_text(facts + "attribution: Anna Test\n")

    def on_e5(raw: dict[str, Any]) -> None:
        if not (home / "encoder").exists():
            (home / "encoder").mkdir()
            e5(home / "encoder")
        sizes = {"vocabulary": 300, "width": 24, "heads": 2, "feed_forward": 24, "layers": 1, "max_length": 40}
        raw["backbone"] = {"kind": "encoder_decoder", "encoder": str(home / "encoder"), "prefix": "query: ", **sizes}
        if raw["fast_weights"] == "lora":  # on the model that another stage has made
            start = {"algorithm": "joint", "fast_weights": "full", "train": {"steps": 3}}
            raw["stages"] = {"start": start, "meta": {"after": "start", **raw["stages"]["meta"]}}

    @cache
    def run(kind: str) -> Run:
        raw = plain_recipe(ciphers)
        raw["fast_weights"] = kind.split()[0]
        if kind.endswith("on e5"):
            on_e5(raw)
        made = Run.open(meta_train(build_recipe(raw), home / kind.replace(" ", "-")))
        info = {"source_language": "eng_Latn", "target_language": "qu", "language": "Quechua"}
        adapt(made, EXAMPLES, name="cat", info=info)
        return made

    return run
