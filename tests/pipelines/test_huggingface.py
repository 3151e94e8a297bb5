"""`metanlp-translation` among the pipelines of transformers, beside our own and plain `generate`."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from backbones.real_formats import SENTENCES, e5
from translating import TEXTS, pipe, texts_of

import metanlp
from metanlp.data.types import Prompt
from metanlp.errors import UserError
from metanlp.run import Run


@pytest.fixture(autouse=True)
def registered() -> None:
    metanlp.register_pipelines()


def theirs(model: Any, **options: Any) -> Any:
    from transformers import pipeline

    return pipeline("metanlp-translation", model=str(model), **{"device": "cpu", "max_new_tokens": 6, **options})


def test_nothing_is_registered_until_it_is_asked_for() -> None:
    code = (
        "import metanlp, metanlp.pipelines\nfrom transformers.pipelines import PIPELINE_REGISTRY as known\n"
        "print('metanlp-translation' in known.get_supported_tasks())\nmetanlp.register_pipelines()\n"
        "print('metanlp-translation' in known.get_supported_tasks())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_registering_twice_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("transformers").addHandler(caplog.handler)
    metanlp.register_pipelines()
    logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not caplog.records


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_an_exported_model_writes_what_our_pipeline_writes(kind: str, runs) -> None:
    run = Run.open(runs(kind))
    ours = texts_of(pipe(runs(kind), num_beams=2)(TEXTS))
    if kind == "full":
        translate = theirs(run.model, num_beams=2)
    else:
        translate = theirs(run.model, tokenizer=run.base, num_beams=2)
    assert len(set(ours)) > 1
    assert texts_of(translate(TEXTS)) == ours
    assert texts_of(translate(TEXTS, batch_size=4)) == ours
    assert texts_of(translate(TEXTS[0])) == ours[:1]
    stream = translate(text for text in TEXTS)
    assert not isinstance(stream, list)
    assert texts_of(stream) == ours


def test_an_adaptation_is_a_model_like_any_other(runs) -> None:
    folder = runs("full") / "meta" / "adaptations" / "two"
    assert texts_of(theirs(folder, num_beams=2)(TEXTS)) == texts_of(pipe(runs("full"), "two", num_beams=2)(TEXTS))


def test_any_other_encoder_decoder(runs, tmp_path: Path) -> None:
    """A T5 with the tokenizer of a run: the same as its own `generate`."""
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(Run.open(runs("full")).model)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    model = T5ForConditionalGeneration(config)
    model.save_pretrained(tmp_path)
    translate = theirs(tmp_path, tokenizer=tokenizer, num_beams=3)
    found = texts_of(translate(["abc 3", "hag"]))
    for text, written in zip(["abc 3", "hag"], found, strict=True):
        pieces = model.eval().generate(**tokenizer(text, return_tensors="pt"), num_beams=3, max_new_tokens=6)
        assert written == tokenizer.decode(pieces[0], skip_special_tokens=True, clean_up_tokenization_spaces=False)


def test_empty_and_wrong_inputs(runs) -> None:
    translate = theirs(Run.open(runs("full")).model)
    assert translate([]) == []
    assert texts_of(translate(["", " "])) == ["", ""]
    assert texts_of(translate("")) == [""]
    for wrong in (None, 3, {"text": "abc"}, ["abc", None]):
        with pytest.raises(UserError, match=r"got|text 2 is None"):
            translate(wrong)


def test_a_text_that_is_cut_is_told_once(runs) -> None:
    translate = theirs(Run.open(runs("full")).model, max_new_tokens=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translate("abc")
    with pytest.warns(UserWarning, match=r"'aaaa.*is longer than the 256 pieces") as told:
        assert len(translate(["abc", "a" * 300, "b" * 300])) == 2 + 1
    assert len(told) == 1


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize(
    ("family", "source", "target"),
    [
        ("t5", None, None),
        ("bart", None, None),
        ("marian", None, None),
        ("marian", None, "deu"),
        ("m2m100", "en", "zu"),
        ("nllb", "eng_Latn", "zul_Latn"),
        ("mbart50", "en_XX", "de_DE"),
    ],
)
def test_models_as_the_hub_has_them(
    family: str, source: str | None, target: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as from a recipe's backbone, which writes a language's code itself and does not count it as a piece."""
    from metanlp.backbones.seq2seq import Seq2Seq

    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "backbones")
    import real_formats

    getattr(real_formats, family)(tmp_path)
    texts = ["the old cat", "a bird sings in the garden", "bread"]
    if family == "marian" and target is None:  # its users write the target's code before the text
        texts = [f">>deu<< {text}" for text in texts]
    backbone = Seq2Seq(model=str(tmp_path)).open(str(tmp_path))
    prompts = [[Prompt(text, "", source, target) for text in texts]]
    (ours,) = backbone.generate(prompts, beams=2, max_new_tokens=6)
    languages = {name: code for name, code in (("src_lang", source), ("tgt_lang", target)) if code is not None}
    translate = theirs(tmp_path, num_beams=2, max_new_tokens=6 if source is None else 7, **languages)
    assert texts_of(translate(texts)) == ours
    if languages:
        with pytest.raises(UserError, match="knows no language 'xxx'"):
            translate(texts, tgt_lang="xxx")


@pytest.fixture
def on_an_encoder(tmp_path: Path) -> tuple[Path, Any]:
    """An encoder that wants a prefix, with a new decoder, all weights random: its folder, and the backbone in it."""
    from metanlp.backbones.encoder_decoder import EncoderDecoder

    for name in ("encoder", "drawn", "model"):
        (tmp_path / name).mkdir()
    e5(tmp_path / "encoder")
    sizes: dict[str, Any] = {"vocabulary": 300, "width": 24, "heads": 2, "feed_forward": 24, "layers": 1}
    options = EncoderDecoder(encoder=str(tmp_path / "encoder"), prefix="a bird: ", max_length=40, **sizes)
    options.prepare(tmp_path / "drawn", lambda *_: [Prompt(text, "größe drei") for text in SENTENCES], 0)
    backbone = options.open(str(tmp_path / "drawn"))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in backbone.model.named_parameters():  # so that what is written depends on what is read
            scale = 0.1 if name.startswith("encoder.") else 1.0 if "enc" in name else 0.5
            weight.add_(scale * torch.randn_like(weight))
    backbone.model.eval()
    backbone.save(tmp_path / "model")
    return tmp_path / "model", options.open(str(tmp_path / "model"))


def test_an_encoder_with_a_decoder_of_its_own(on_an_encoder: tuple[Path, Any]) -> None:
    """It reads with the prefix and writes with the decoder's tokenizer, as the recipe's backbone does."""
    folder, backbone = on_an_encoder
    (ours,) = backbone.generate([[Prompt(text, "") for text in SENTENCES]], beams=2, max_new_tokens=6)
    assert len(set(ours)) > 2
    assert texts_of(theirs(folder, num_beams=2)(SENTENCES)) == ours
    backbone.prefix = ""
    assert backbone.generate([[Prompt(text, "") for text in SENTENCES]], beams=2, max_new_tokens=6) != [ours]


def test_an_adapter_on_an_encoder_with_a_decoder_of_its_own(on_an_encoder: tuple[Path, Any], tmp_path: Path) -> None:
    from metanlp.fast_weights.lora import Lora
    from metanlp.learner import Learner

    folder, backbone = on_an_encoder
    fast = Lora().attach(backbone.model, 0)
    learner = Learner(backbone.model, fast)
    weights = {name: torch.randn_like(weight) for name, weight in learner.spread(1).items()}
    fast.save(tmp_path / "adapter", weights, backbone, str(folder))
    prompts = [[Prompt(text, "") for text in SENTENCES]]
    with learner.using(weights):
        (ours,) = backbone.generate(prompts, beams=2, max_new_tokens=6)
    with learner.using(learner.spread(1)):
        assert backbone.generate(prompts, beams=2, max_new_tokens=6) != [ours]
    assert texts_of(theirs(tmp_path / "adapter", num_beams=2)(SENTENCES)) == ours


def test_an_encoder_with_a_decoder_alone_is_refused(on_an_encoder: tuple[Path, Any]) -> None:
    folder, _ = on_an_encoder
    shutil.rmtree(folder / "target")
    with pytest.raises(
        UserError, match=r"reads with \d+ pieces and writes with \d+, and .* no tokenizer of the latter"
    ):
        theirs(folder)
