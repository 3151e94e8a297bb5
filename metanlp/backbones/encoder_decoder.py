"""A pretrained encoder with a fresh decoder: for source languages that an encoder knows and no seq2seq model does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from metanlp.config.languages import Additions
from metanlp.config.options import Options
from metanlp.errors import UserError
from metanlp.registry import BACKBONES

if TYPE_CHECKING:
    from metanlp.backbones._text_to_text import TextToText
    from metanlp.data.types import Prompt


@BACKBONES.register("encoder_decoder")
class EncoderDecoder(Options):
    """Transformers' EncoderDecoderModel: the encoder as it is, and an mBART decoder with a vocabulary of its own.

    The decoder's layers are normalised first, as in `tiny`, so it learns from scratch. A first stage trains it whole
    (`fast_weights: {kind: full, match: ^decoder|^enc_to_dec}`), later ones may attach adapters to both sides.
    """

    made: ClassVar[bool] = True  # a run makes it once, in a folder of its own

    encoder: str = Field(
        description="name on the Hugging Face Hub, or a folder: BERT, XLM-R, multilingual E5 and others"
    )
    revision: str | None = Field(None, description="branch, tag or commit on the Hub; empty: its main branch")
    made_by: str = Field("", description="the command that makes the encoder's folder, told where it is missing")
    prefix: str = Field("", description="what the encoder wants before every text, as E5 wants 'query: '")
    trim: bool = Field(
        False, description="keep only the encoder's pieces that the training texts need, and single characters"
    )
    keep_for: str = Field("", description="with trim: a text file, as a word list, whose pieces are kept as well")
    pieces: Literal["char", "bpe", "unigram"] = Field("bpe", description="what the tokenizer cuts targets into")
    vocabulary: int = Field(8000, ge=300, description="pieces of the targets, 259 for bytes and marks included")
    width: int = Field(256, ge=8, description="width of the decoder's hidden states")
    heads: int = Field(8, ge=1, description="its attention heads")
    feed_forward: int = Field(1024, ge=8, description="width inside its feed-forward layers")
    layers: int = Field(3, ge=1, description="its layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of its activations dropped while training")
    max_length: int = Field(256, ge=1, description="longest source or target, in pieces; longer ones are cut")

    def prepare(self, folder: Path, prompts: Callable[[int | None], Iterable[Prompt]], seed: int) -> None:
        """Train the targets' tokenizer, draw the decoder's weights, and save all as a `from_pretrained` folder.

        `prompts(most)` gives about so many of the training prompts, evenly spread; all for None.
        """
        from metanlp.backbones._sentencepiece import EXAMPLES, train_tokenizer
        from metanlp.backbones._text_to_text import TextToText
        from metanlp.backbones._trimming import trim

        encoder, tokenizer = self._encoder()
        target = train_tokenizer((prompt.output for prompt in prompts(EXAMPLES)), self.pieces, self.vocabulary)
        model = self._with_decoder(encoder, target, seed)
        if self.trim:  # now: putting the two sides together draws every weight anew that did not come from a file
            tokenizer = trim(model.encoder, tokenizer, self._read_by_encoder(prompts(None)))
        TextToText(model, tokenizer, self.max_length, target_tokenizer=target, prefix=self.prefix).save(folder)

    def extend(self, additions: Additions) -> TextToText | None:
        """UserError: there is nothing to add."""
        raise UserError(
            "task.new_languages and task.new_pieces are for pretrained encoder-decoders: here the decoder learns its pieces "
            "from the training tasks, and an encoder reads languages without codes"
        )

    def open(self, where: str) -> TextToText:
        """The model in float32 and its two tokenizers, from a folder of this kind."""
        from transformers import AutoTokenizer

        from metanlp.backbones._text_to_text import TARGET, TextToText
        from metanlp.backbones._without_pooler import EncoderDecoderModel

        model = EncoderDecoderModel.from_pretrained(where, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(where)
        target = AutoTokenizer.from_pretrained(Path(where) / TARGET)
        return TextToText(model, tokenizer, self.max_length, target_tokenizer=target, prefix=self.prefix)

    def base(self, folder: Path) -> str:
        """Where the backbone's own weights are: what `prepare` made in a run's `folder` for it."""
        return str(folder.resolve())

    def _read_by_encoder(self, prompts: Iterable[Prompt]) -> Iterator[str]:
        """The texts whose pieces are kept."""
        for prompt in prompts:
            yield self.prefix + prompt.input
        if self.keep_for:
            try:
                with Path(self.keep_for).open(encoding="utf-8") as lines:
                    yield from (self.prefix + line.strip() for line in lines)
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"backbone.keep_for {self.keep_for!r} cannot be read: {error}") from None

    def _encoder(self) -> tuple[Any, Any]:
        """The pretrained encoder in float32 and its tokenizer; UserError where there is none."""
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        made = f"; make it with: {self.made_by}" if self.made_by else ""
        revision = None if Path(self.encoder).is_dir() else self.revision
        before = logging.get_verbosity()
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.encoder, revision=revision, trust_remote_code=False)
            logging.set_verbosity_error()  # a report of heads that are too many, of a pooler that is too few
            encoder, report = AutoModel.from_pretrained(
                self.encoder, revision=revision, trust_remote_code=False, dtype="float32", output_loading_info=True
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"backbone.encoder {self.encoder!r} is neither a folder nor a reachable Hub model{made}"
            ) from error
        finally:
            logging.set_verbosity(before)
        if missing := [name for name in sorted(report["missing_keys"]) if not name.startswith("pooler.")]:
            raise UserError(
                f"backbone.encoder {self.encoder!r} lacks {len(missing)} of the weights of a {type(encoder).__name__}, as "
                f"{missing[0]}"
            )
        longest = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
        if self.max_length > longest:
            raise UserError(f"backbone.max_length is {self.max_length}; the encoder reads {longest} pieces at most")
        return encoder, tokenizer

    def _with_decoder(self, encoder: Any, target: Any, seed: int) -> Any:
        """The encoder with a decoder whose weights are a function of the seed."""
        import torch
        from transformers import GenerationConfig, MBartConfig, MBartForCausalLM

        from metanlp.backbones._without_pooler import EncoderDecoderModel
        from metanlp.data.seeds import seed_of

        config = MBartConfig(
            vocab_size=len(target),
            d_model=self.width,
            decoder_layers=self.layers,
            decoder_attention_heads=self.heads,
            decoder_ffn_dim=self.feed_forward,
            max_position_embeddings=self.max_length,
            dropout=self.dropout,
            scale_embedding=True,
            init_std=self.width**-0.5,
            pad_token_id=target.pad_token_id,
            eos_token_id=target.eos_token_id,
            bos_token_id=None,
            decoder_start_token_id=target.pad_token_id,
            forced_eos_token_id=None,
        )
        for name, value in encoder.config.to_dict().items():  # where the model is opened, its layers are made by it
            if re.search(r"(dropout|dropout_prob|_pdrop)$", name) and isinstance(value, int | float):
                setattr(encoder.config, name, 0.0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("encoder_decoder", seed) % 2**63)
            model = EncoderDecoderModel(encoder=encoder, decoder=MBartForCausalLM(config))
        encoder.config._name_or_path = ""  # would be saved, and may be a folder of this machine
        marks = {
            "pad_token_id": target.pad_token_id,
            "eos_token_id": target.eos_token_id,
            "decoder_start_token_id": target.pad_token_id,
        }
        for name, value in marks.items():
            setattr(model.config, name, value)
        model.generation_config = GenerationConfig(**marks)
        return model
