"""A pretrained encoder with a fresh decoder: the encoder stays what it was, both tokenizers come along, a run is made of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from backbones.real_formats import ENCODER_SIZES, SENTENCES, bart, e5
from safetensors.torch import load_file, save_file

from metanlp.backbones.encoder_decoder import EncoderDecoder
from metanlp.data.types import Prompt
from metanlp.errors import UserError

TARGETS = ["eins zwei drei", "the garden of <pad> birds", "größe"] * 30
PROMPTS = [Prompt(source, target) for source, target in zip(SENTENCES, TARGETS, strict=False)]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    folder.mkdir()
    e5(folder)
    return folder


def options(encoder: Path, **others: Any) -> EncoderDecoder:
    sizes: dict[str, Any] = {"vocabulary": 300, "width": 24, "heads": 2, "feed_forward": 24, "layers": 1}
    return EncoderDecoder(encoder=str(encoder), max_length=40, **{**sizes, **others})


def made(place: Path, options: EncoderDecoder, seed: int = 0) -> Any:
    place.mkdir()
    options.prepare(place, lambda most: PROMPTS, seed)
    backbone = options.open(options.base(place))
    backbone.model.eval()
    return backbone


def hidden(folder: Path, text: str) -> torch.Tensor:
    """What plain transformers make of the encoder that was given."""
    from transformers import AutoModel, AutoTokenizer

    with torch.no_grad():
        return AutoModel.from_pretrained(folder)(
            **AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
        ).last_hidden_state


def test_the_encoder_reads_as_it_did_before(encoder: Path, tmp_path: Path) -> None:
    backbone = made(tmp_path / "made", options(encoder, prefix="query: "))
    batch = backbone.encode([[Prompt("the cat", "eins")]])
    mask = batch.inputs["attention_mask"]
    with torch.no_grad():
        found = backbone.model.encoder(input_ids=batch.inputs["input_ids"], attention_mask=mask).last_hidden_state
    assert torch.equal(found, hidden(encoder, "query: the cat"))


def test_labels_are_the_targets_own_pieces(encoder: Path, tmp_path: Path) -> None:
    backbone = made(tmp_path / "made", options(encoder))
    batch = backbone.encode([[Prompt("the cat", "größe"), Prompt("a bird", "the garden of <pad> birds")]])
    pad, start = backbone.target_tokenizer.pad_token_id, backbone.model.config.decoder_start_token_id
    for row, target in zip(range(2), ("größe", "the garden of <pad> birds"), strict=True):
        labels = [piece for piece in batch.labels[row].tolist() if piece >= 0]
        assert backbone.target_tokenizer.decode(labels, skip_special_tokens=True) == target
        shifted = [start, *labels[:-1]]
        rest = batch.labels.shape[1] - len(shifted)
        assert batch.inputs["decoder_input_ids"][row].tolist() == shifted + [labels[-1]] * min(rest, 1) + [pad] * (
            rest - 1
        )


ELSEWHERE = """
import json, sys, torch
from transformers import AutoTokenizer, EncoderDecoderModel
folder, text = sys.argv[1:3]
model = EncoderDecoderModel.from_pretrained(folder).eval()
source, target = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(folder + "/target")
batch = source(text, return_tensors="pt")
with torch.no_grad():
    logits = model(**batch, decoder_input_ids=torch.tensor([[model.config.decoder_start_token_id]])).logits
    written = model.generate(**batch, max_new_tokens=6, do_sample=False)
print(json.dumps({
    "logits": logits.tolist(),
    "written": target.decode(written[0], skip_special_tokens=True),
    "metanlp": "metanlp" in sys.modules,
}))
"""


def test_the_folder_loads_in_a_new_process_as_the_same(encoder: Path, tmp_path: Path) -> None:
    backbone = made(tmp_path / "made", options(encoder))
    backbone.save(tmp_path / "saved")
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "saved"), "a small bird"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
    assert not found["metanlp"]
    batch = backbone.encode([[Prompt("a small bird")]])
    first = {**batch.inputs, "decoder_input_ids": batch.inputs["decoder_input_ids"][:, :1]}
    with torch.no_grad():
        assert torch.equal(torch.tensor(found["logits"]), backbone.model(**first).logits)
        assert backbone.generate([[Prompt("a small bird")]], max_new_tokens=6) == [[found["written"]]]


def without_pooler(encoder: Path) -> None:
    """Save the encoder as those are that were trained to guess words."""
    from transformers import BertModel

    BertModel.from_pretrained(encoder, add_pooling_layer=False).save_pretrained(encoder)


@pytest.mark.parametrize("pooler", [True, False])
def test_a_pooler_is_neither_kept_nor_drawn(
    encoder: Path, tmp_path: Path, pooler: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if not pooler:
        without_pooler(encoder)
    caplog.clear()
    backbone = made(tmp_path / "made", options(encoder))
    assert not caplog.records
    names = load_file(tmp_path / "made" / "model.safetensors").keys()
    assert names <= backbone.model.state_dict().keys()
    assert not [name for name in backbone.model.state_dict() if "pooler" in name]
    facts = json.loads((tmp_path / "made" / "config.json").read_text())
    assert facts["architectures"] == ["EncoderDecoderModel"]


def test_an_encoder_with_a_hole_is_refused(encoder: Path, tmp_path: Path) -> None:
    """Transformers would draw what is missing."""
    weights = load_file(encoder / "model.safetensors")
    del weights["encoder.layer.0.output.dense.bias"]
    save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=r"lacks 1 of the weights of a BertModel, as encoder\.layer\.0\.output\.dense\.bias"
    ):
        options(encoder).prepare(tmp_path, lambda most: PROMPTS, 0)


@pytest.mark.parametrize("kind", ["Bert", "XLMRoberta", "DistilBert"])
def test_an_encoder_drops_nothing_while_training(encoder: Path, tmp_path: Path, kind: str) -> None:
    """Whatever its class calls the shares that it drops, 0.1 each unless told."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(vocab_size=120, **ENCODER_SIZES)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(encoder)
    backbone = made(tmp_path / "made", options(encoder))
    inputs = {name: backbone.encode([PROMPTS[:3]]).inputs[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        still = backbone.model.encoder(**inputs).last_hidden_state
        assert torch.equal(backbone.model.train().encoder(**inputs).last_hidden_state, still)


def test_the_seed_is_all_there_is_to_chance(encoder: Path, tmp_path: Path) -> None:
    without_pooler(encoder)

    def weights(name: str, seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(len(name))
        return made(tmp_path / name, options(encoder), seed).model.state_dict()

    one, same, other = weights("one", 3), weights("same1", 3), weights("other", 4)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_it_learns_with_its_encoder_frozen(encoder: Path, tmp_path: Path) -> None:
    """No gradient graph is built through the encoder, and the decoder spells the targets all the same."""
    from metanlp.fast_weights.full import Full

    backbone = made(tmp_path / "made", options(encoder, width=32))
    fast = Full(match="^decoder|^enc_to_dec").attach(backbone.model, 0)
    pairs = [("the cat sat", "eins"), ("a small bird", "drei"), ("we went", "zwei"), ("der alte Mann", "größe")]
    prompts = [[Prompt(source, target) for source, target in pairs]]
    batch = backbone.encode(prompts)
    optimizer = torch.optim.Adam(fast.parameters.values(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        output = backbone.model(**batch.inputs, use_cache=False)
        assert not output.encoder_last_hidden_state.requires_grad
        torch.nn.functional.cross_entropy(output.logits.flatten(0, 1), batch.labels.flatten()).backward()
        optimizer.step()
    assert backbone.generate(prompts, max_new_tokens=20)[0] == [target for _, target in pairs]


def test_a_missing_encoder_names_the_command_that_makes_it(tmp_path: Path) -> None:
    missing = options(tmp_path / "nowhere", made_by="python data_scripts/backbones.py e5 --out nowhere")
    with pytest.raises(UserError, match=r"nowhere' is neither .*; make it with: python data_scripts/backbones\.py e5"):
        missing.prepare(tmp_path, lambda most: PROMPTS, 0)


def test_more_pieces_than_the_encoder_has_positions_are_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"max_length is 200; the encoder reads 160 pieces at most"):
        EncoderDecoder(encoder=str(encoder), max_length=200).prepare(tmp_path, lambda most: PROMPTS, 0)


def test_a_trimmed_encoder_reads_the_training_texts_as_before(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, with fewer rows; other words fall into smaller pieces, and a word list keeps them whole."""
    from transformers import AutoTokenizer

    few = [Prompt("the cat sat on the mat", "eins"), Prompt("der alte Mann", "zwei")]
    monkeypatch.setattr("metanlp.backbones._sentencepiece.EXAMPLES", 1)
    whole = AutoTokenizer.from_pretrained(encoder)

    def trimmed(name: str, **others: Any) -> Any:
        (tmp_path / name).mkdir()
        chosen = options(encoder, trim=True, **others)
        chosen.prepare(tmp_path / name, lambda most: few[:most], 0)  # trimming wants all of them
        backbone = chosen.open(chosen.base(tmp_path / name))
        backbone.model.eval()
        return backbone

    backbone = trimmed("made")
    rows = backbone.model.encoder.get_input_embeddings().weight.shape[0]
    assert rows == len(backbone.tokenizer) == backbone.model.config.encoder.vocab_size < len(whole)
    for prompt in few:
        assert backbone.tokenizer.tokenize(prompt.input) == whole.tokenize(prompt.input)
        batch = backbone.encode([[prompt]]).inputs
        with torch.no_grad():
            mine = backbone.model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        assert torch.equal(mine, hidden(encoder, prompt.input))
    other = "garden market"
    assert backbone.tokenizer.tokenize(other) != whole.tokenize(other)
    assert "".join(backbone.tokenizer.tokenize(other)) == "".join(whole.tokenize(other))
    assert backbone.tokenizer.unk_token_id not in backbone.tokenizer(other)["input_ids"]
    (tmp_path / "words.txt").write_text("garden market\n", encoding="utf-8")
    kept = trimmed("kept", keep_for=str(tmp_path / "words.txt"))
    assert kept.tokenizer.tokenize(other) == whole.tokenize(other)


def test_added_tokens_stay_behind_the_pieces(encoder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    whole = AutoTokenizer.from_pretrained(encoder)
    whole.add_tokens(["[new]", "[newer]"])
    whole.save_pretrained(encoder)
    few = [Prompt("the cat [new] sat", "eins")]
    (tmp_path / "made").mkdir()
    chosen = options(encoder, trim=True)
    chosen.prepare(tmp_path / "made", lambda most: few, 0)
    backbone = chosen.open(chosen.base(tmp_path / "made"))
    backbone.model.eval()
    rows = backbone.model.encoder.get_input_embeddings().weight.shape[0]
    assert rows == len(backbone.tokenizer) < len(whole)
    assert backbone.tokenizer.convert_tokens_to_ids(["[new]", "[newer]"]) == [rows - 2, rows - 1]
    batch = backbone.encode([few]).inputs
    with torch.no_grad():
        mine = backbone.model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    assert torch.equal(mine, hidden(encoder, few[0].input))


def test_only_a_unigram_vocabulary_is_trimmed(tmp_path: Path) -> None:
    bart(tmp_path)
    with pytest.raises(UserError, match="unigram"):
        options(tmp_path, trim=True).prepare(tmp_path, lambda most: PROMPTS, 0)
