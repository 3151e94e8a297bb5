"""Small random models of the real classes, with tokenizers in the very files that the Hub has of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

marian_asks = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses:UserWarning")
SENTENCES = [
    "the cat sat on the mat",
    "a small bird sings in the old garden",
    "we went to the market and bought bread",
    "ki te kainga te ngeru iti",
    "der alte Mann und das Meer",
    "im Garten singt ein kleiner Vogel",
    "wasi ukupi misi tiyan",
    "unquestionably short 12 345",
] * 12
SMALL: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
}
M2M100_CODES = ["de", "en", "fr", "zu"]


ENCODER_SIZES: dict[str, int] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 160,
    "pad_token_id": 1,
}


def spm(folder: Path, name: str, **options: Any) -> Path:
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=written,
        vocab_size=90,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    path = folder / name
    path.write_bytes(written.getvalue())
    return path


def pieces_of(path: Path) -> list[tuple[str, float]]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [(processor.id_to_piece(index), processor.get_score(index)) for index in range(processor.get_piece_size())]


def model_of(cls: Any, config: Any) -> Any:
    torch.manual_seed(0)
    model = cls(config).eval()
    with torch.no_grad():
        for weight in model.parameters():  # outputs that differ from input to input
            weight.add_(torch.randn_like(weight) * 0.15)
    return model


def t5(folder: Path, config_class: str = "T5Config", model_class: str = "T5ForConditionalGeneration") -> None:
    import transformers

    path = spm(folder, "made.model", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    tokenizer = transformers.T5Tokenizer(vocab=pieces_of(path), extra_ids=5)
    config = getattr(transformers, config_class)(
        vocab_size=len(tokenizer) + 3,  # the Hub's models have more rows than their tokenizers have pieces
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model_of(getattr(transformers, model_class), config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def mt5(folder: Path) -> None:
    t5(folder, "MT5Config", "MT5ForConditionalGeneration")


def byt5(folder: Path) -> None:
    from transformers import ByT5Tokenizer, T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=384,
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    model_of(T5ForConditionalGeneration, config).save_pretrained(folder)
    ByT5Tokenizer().save_pretrained(folder)


def bart(folder: Path) -> None:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import BartConfig, BartForConditionalGeneration, BartTokenizer

    trained = ByteLevelBPETokenizer()
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(SENTENCES, vocab_size=340, special_tokens=marks, show_progress=False)
    trained.save_model(str(folder))
    merges = [tuple(line.split()) for line in (folder / "merges.txt").read_text().splitlines()[1:]]
    tokenizer = BartTokenizer(vocab=json.loads((folder / "vocab.json").read_text()), merges=merges)
    config = BartConfig(vocab_size=len(tokenizer), max_position_embeddings=40, forced_bos_token_id=0, **SMALL)
    model_of(BartForConditionalGeneration, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def marian(folder: Path) -> None:
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    source, target = spm(folder, "source.spm"), spm(folder, "target.spm", model_type="bpe")
    known = sorted({piece for path in (source, target) for piece, _ in pieces_of(path)} - {"<unk>", "<s>", "</s>"})
    pieces = ["</s>", "<unk>", *known, ">>deu<<", ">>mri<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    tokenizer = MarianTokenizer(
        str(source), str(target), str(folder / "vocab.json"), source_lang="en", target_lang="mul"
    )
    pad = len(pieces) - 1
    config = MarianConfig(
        vocab_size=len(pieces),
        max_position_embeddings=64,
        pad_token_id=pad,
        decoder_start_token_id=pad,
        eos_token_id=0,
        forced_eos_token_id=0,
        static_position_embeddings=True,
        **SMALL,
    )
    model = model_of(MarianMTModel, config)
    model.generation_config.bad_words_ids = [[pad]]  # as the Hub's models have it
    model.generation_config.num_beams = 4
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def m2m100(folder: Path) -> None:
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

    path = spm(folder, "sentencepiece.bpe.model", model_type="bpe")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece, _ in pieces_of(path)[3:])]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    codes = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(path), additional_special_tokens=codes)
    config = M2M100Config(
        vocab_size=len(pieces) + len(codes) + 8,
        max_position_embeddings=64,
        decoder_start_token_id=2,
        forced_bos_token_id=None,
        **SMALL,
    )
    model_of(M2M100ForConditionalGeneration, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def nllb(folder: Path) -> None:
    from tokenizers import SentencePieceBPETokenizer
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    trained = SentencePieceBPETokenizer()
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    trained.train_from_iterator(SENTENCES, vocab_size=120, special_tokens=marks, show_progress=False)
    made = json.loads(trained.to_str())["model"]
    tokenizer = NllbTokenizer(vocab=made["vocab"], merges=[tuple(merge) for merge in made["merges"]])
    config = M2M100Config(vocab_size=len(tokenizer), max_position_embeddings=64, decoder_start_token_id=2, **SMALL)
    model_of(M2M100ForConditionalGeneration, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def mbart50(folder: Path) -> None:
    from transformers import MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

    path = spm(folder, "made.model")
    tokenizer = MBart50Tokenizer(vocab=pieces_of(path))
    config = MBartConfig(vocab_size=len(tokenizer), max_position_embeddings=64, decoder_start_token_id=2, **SMALL)
    model_of(MBartForConditionalGeneration, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def e5(folder: Path) -> None:
    """An encoder alone: BertModel behind XLM-R's tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    known = pieces_of(spm(folder, "made.model"))
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *known[3:], ("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    marks = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    }
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks, model_max_length=160).save_pretrained(folder)
    config = BertConfig(vocab_size=len(pieces) + 3, **ENCODER_SIZES)
    model_of(BertModel, config).save_pretrained(folder)


BUILDERS = {
    "t5": t5,
    "mt5": mt5,
    "byt5": byt5,
    "bart": bart,
    "marian": marian,
    "m2m100": m2m100,
    "nllb": nllb,
    "mbart50": mbart50,
}
BEFORE = {  # where the piece of a language's code stands
    **dict.fromkeys(["t5", "mt5", "byt5", "bart"], "none"),
    **dict.fromkeys(["m2m100", "nllb", "mbart50"], "both"),
    "marian": "source",
}
LANGUAGES = {
    "m2m100": ("en", "de", "zu"),
    "nllb": ("eng_Latn", "deu_Latn", "quy_Latn"),
    "mbart50": ("en_XX", "de_DE", "fr_XX"),
}
