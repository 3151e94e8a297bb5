"""A sentencepiece model with byte fallback, as a tokenizer that `AutoTokenizer` loads."""

from __future__ import annotations

import io
from collections.abc import Iterable

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, EOS, UNKNOWN = 0, 1, 2
SPACE = "▁"


def train_tokenizer(texts: Iterable[str], pieces: str, vocabulary: int) -> PreTrainedTokenizerFast:
    """Trained on `texts` alone. Digits are cut one by one; what no piece covers is written in bytes; text is kept as it is.

    The same segmentation as sentencepiece's own, in the format Hugging Face loads without it.
    """
    processor = sentencepiece.SentencePieceProcessor(model_proto=train_sentencepiece(texts, pieces, vocabulary))
    scores = [
        (processor.id_to_piece(index), processor.get_score(index)) for index in range(processor.get_piece_size())
    ]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=UNKNOWN, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(Regex(" "), SPACE)]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    )


def train_sentencepiece(texts: Iterable[str], pieces: str, vocabulary: int) -> bytes:
    """The serialised sentencepiece model: `pieces` is char or unigram, at most `vocabulary` pieces."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        model_type=pieces,
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        character_coverage=0.9999 if pieces == "unigram" else 1.0,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        pad_id=PAD,
        eos_id=EOS,
        unk_id=UNKNOWN,
        bos_id=-1,
        num_threads=2,
        minloglevel=2,
    )
    return written.getvalue()
