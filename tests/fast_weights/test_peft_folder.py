"""Adapters as PEFT reads them, and what is refused when reading one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from backbones.causal_models import CLASSES, save_causal
from makers import VOCABULARY, make_batch, make_t5, task_of
from safetensors.torch import load_file, save_file

from metanlp.errors import UserError
from metanlp.fast_weights._peft_folder import FILE, read_adapter
from metanlp.fast_weights._stacked_linear import StackedLinear
from metanlp.fast_weights.lora import Lora
from metanlp.learner import Learner

SHARED: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 32,
    "decoder_start_token_id": 2,
}


def model_of(kind: str) -> Any:
    import transformers

    torch.manual_seed(1)
    if kind == "t5":
        return make_t5(dtype=torch.float32, layers=2).eval()
    classes = {
        "bart": ("BartConfig", "BartForConditionalGeneration"),
        "marian": ("MarianConfig", "MarianMTModel"),
        "m2m100": ("M2M100Config", "M2M100ForConditionalGeneration"),
        "mbart": ("MBartConfig", "MBartForConditionalGeneration"),
    }
    config, cls = classes[kind]
    options = {**SHARED, "pad_token_id": 0} if kind == "marian" else SHARED
    return getattr(transformers, cls)(getattr(transformers, config)(**options)).eval()


def adapted(kind: str, options: Lora, tasks: int) -> tuple[Learner, dict]:
    model = model_of(kind)
    learner = Learner(model, options.attach(model, 0))
    generator = torch.Generator().manual_seed(4)
    weights = {name: torch.randn(w.shape, generator=generator) * 0.2 for name, w in learner.spread(tasks).items()}
    return learner, weights


@pytest.mark.parametrize("options", [{}, {"r": 3, "alpha": 1.5}, {"targets": ["fc1", "wi", "wo", "k_proj", "k"]}])
@pytest.mark.parametrize("kind", ["t5", "bart", "marian", "m2m100", "mbart"])
def test_plain_peft_gives_the_same_logits(kind: str, options: dict, tmp_path: Path) -> None:
    from peft import PeftModel

    if "targets" in options:
        known = {"t5": ["wi", "wo", "k"]}.get(kind, ["fc1", "k_proj"])
        options = {"targets": [name for name in options["targets"] if name in known]}
    lora = Lora(**options)
    learner, weights = adapted(kind, lora, tasks=2)
    batch = make_batch(rows=3)
    plain = model_of(kind)
    with torch.no_grad():
        base = plain(**batch.inputs).logits
    for task in range(2):
        folder = tmp_path / str(task)
        folder.mkdir()
        learner.fast.save(folder, task_of(weights, task), None, "some/base")
        with learner.using(task_of(weights, task)) as model:
            wanted = model(**batch.inputs).logits
        loaded = PeftModel.from_pretrained(model_of(kind), str(folder)).eval()
        with torch.no_grad():
            found = loaded(**batch.inputs).logits
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        assert (found - base).abs().max() > 1e-3
        read = learner.fast.load(folder, None)
        assert all(torch.equal(read[name], weights[name][task : task + 1]) for name in weights)


def test_the_folder_says_what_it_belongs_to(tmp_path: Path) -> None:
    learner, weights = adapted("bart", Lora(r=3, alpha=1.5), tasks=1)
    learner.fast.save(tmp_path, weights, None, "some/base")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "some/base"
    assert (config["r"], config["lora_alpha"], config["peft_type"], config["task_type"]) == (
        3,
        1.5,
        "LORA",
        "SEQ_2_SEQ_LM",
    )
    assert sorted(config["target_modules"]) == ["q_proj", "v_proj"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", FILE]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_stacked_layer_is_pefts_in_causal_models_too(kind: str, tmp_path: Path) -> None:
    """Their projections have a batch and a length axis: three tasks in one pass."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = str(save_causal(kind, tmp_path / "base"))
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    fast = Lora(r=2).attach(model, 0)
    assert {type(layer) for layer in fast.layers.values()} == {StackedLinear}
    assert fast.targets == (["query_key_value"] if kind == "gpt_neox" else ["q_proj", "v_proj"])
    generator = torch.Generator().manual_seed(4)
    weights = {name: torch.randn(3, *p.shape, generator=generator) * 0.3 for name, p in fast.parameters.items()}
    ids = torch.randint(0, VOCABULARY, (6, 7), generator=generator)
    fast.put(weights)
    with torch.no_grad():
        together = model(input_ids=ids).logits
    fast.restore()
    for task in range(3):
        folder = tmp_path / str(task)
        folder.mkdir()
        fast.save(folder, task_of(weights, task), None, base)
        assert json.loads((folder / "adapter_config.json").read_text())["task_type"] == "CAUSAL_LM"
        plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(folder)).eval()
        with torch.no_grad():
            alone = plain(input_ids=ids[2 * task : 2 * task + 2]).logits
        torch.testing.assert_close(together[2 * task : 2 * task + 2], alone, rtol=0, atol=1e-5)


class TestRefusals:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        learner, weights = adapted("t5", Lora(r=2), tasks=1)
        learner.fast.save(tmp_path, weights, None, "base")
        self.fast, self.weights = learner.fast, weights
        return tmp_path

    def alter(self, folder: Path, change: Any) -> None:
        tensors = load_file(folder / FILE)
        change(tensors)
        save_file(tensors, folder / FILE)

    def first(self) -> str:
        return f"base_model.model.{next(iter(self.fast.parameters))}"

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_that_are_none(self, folder: Path, value: float) -> None:
        self.alter(folder, lambda tensors: tensors[self.first()].view(-1)[-1:].fill_(value))
        with pytest.raises(UserError, match="holds NaN or infinity"):
            read_adapter(folder, self.fast)

    def test_missing(self, folder: Path) -> None:
        self.alter(folder, lambda tensors: tensors.pop(self.first()))
        with pytest.raises(UserError, match=r"lora_A.weight is missing"):
            read_adapter(folder, self.fast)

    def test_extra(self, folder: Path) -> None:
        self.alter(folder, lambda tensors: tensors.update({"base_model.model.odd.lora_A.weight": torch.ones(1)}))
        with pytest.raises(UserError, match=r"odd.lora_A.weight has no place in this model"):
            read_adapter(folder, self.fast)

    def test_of_another_shape(self, folder: Path) -> None:
        self.alter(folder, lambda tensors: tensors.update({self.first(): torch.ones(3, 16)}))
        with pytest.raises(UserError, match=r"is \(3, 16\); the model wants \(2, 16\)"):
            read_adapter(folder, self.fast)

    def test_all_mistakes_at_once(self, folder: Path) -> None:
        def change(tensors: dict) -> None:
            names = sorted(tensors)
            tensors.pop(names[0])
            tensors[names[1]] = torch.full_like(tensors[names[1]], torch.nan)
            tensors["odd"] = torch.ones(1)

        self.alter(folder, change)
        with pytest.raises(UserError, match=r"3 problems(.|\n)*odd(.|\n)*(missing|NaN)(.|\n)*(missing|NaN)"):
            read_adapter(folder, self.fast)

    def test_cut_off(self, folder: Path) -> None:
        content = (folder / FILE).read_bytes()
        (folder / FILE).write_bytes(content[:-5])
        with pytest.raises(UserError, match="not readable as an adapter"):
            read_adapter(folder, self.fast)

    def test_gone(self, folder: Path) -> None:
        (folder / FILE).unlink()
        with pytest.raises(UserError, match="not readable as an adapter"):
            read_adapter(folder, self.fast)

    def test_of_another_scale(self, folder: Path) -> None:
        """The same tensors under another alpha are another adapter."""
        config = json.loads((folder / "adapter_config.json").read_text())
        config["lora_alpha"] = 99
        (folder / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=r"alpha / r is 49.5; the model wants 8"):
            read_adapter(folder, self.fast)
