"""A sentencepiece model with byte fallback, as a tokenizer that `AutoTokenizer` loads."""

from __future__ import annotations

import io
from collections.abc import Iterable

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from metanlp.data.merges import SPACE

PAD, EOS, UNKNOWN = 0, 1, 2
EXAMPLES = 200_000  # that are enough to train on: source and target of each, where it is for both
NAMES = r"<(?=pad>|/s>|unk>|0x[0-9A-F]{2}>)"  # the names of marks and bytes, which a text may contain as well


def train_tokenizer(texts: Iterable[str], pieces: str, vocabulary: int) -> PreTrainedTokenizerFast:
    """Trained on `texts` alone. Digits are cut one by one; what no piece covers is written in bytes; text is kept as it is.

    The same segmentation as sentencepiece's own, in the format Hugging Face loads without it.
    """
    processor = sentencepiece.SentencePieceProcessor(model_proto=train_sentencepiece(texts, pieces, vocabulary))
    scores = [(processor.id_to_piece(index), processor.get_score(index)) for index in range(processor.get_piece_size())]
    tokenizer = Tokenizer(
        _bpe(scores) if pieces == "bpe" else models.Unigram(scores, unk_id=UNKNOWN, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(Regex(" "), SPACE)])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(NAMES), "isolated")  # a text's "</s>" is four characters
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side="right",
        split_special_tokens=True,
    )


def train_sentencepiece(texts: Iterable[str], pieces: str, vocabulary: int) -> bytes:
    """The serialised sentencepiece model: `pieces` is char, bpe or unigram, about `vocabulary` of them.

    Every character of the texts is a piece, so the vocabulary is larger where the texts have more characters than that.
    """
    lines = [text for text in texts if text]
    characters = len({character for line in lines for character in line})
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        model_type=pieces,
        vocab_size=max(vocabulary, characters + 256 + 8),  # the bytes, the marks, and the space
        hard_vocab_limit=False,
        character_coverage=1.0,
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


def _bpe(scores: list[tuple[str, float]]) -> models.BPE:
    """Byte-pair encoding by the same merges: a piece's score is its rank, and any two pieces that make it up may merge."""
    vocabulary = {piece: index for index, (piece, _) in enumerate(scores)}
    ranked = []
    for piece, score in scores:
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        known = [cut for cut in cuts if cut[0] in vocabulary and cut[1] in vocabulary]
        ranked += [(-score, vocabulary[left], vocabulary[right], (left, right)) for left, right in known]
    merges = [merge for *_, merge in sorted(ranked)]
    return models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
