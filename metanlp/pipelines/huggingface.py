"""`metanlp-translation` and `metanlp-dialogue` among the pipelines of transformers, which dropped its own in version 5."""

from __future__ import annotations

import warnings
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, Pipeline, TextGenerationPipeline
from transformers.pipelines import PIPELINE_REGISTRY

from metanlp.backbones._languages import spelt
from metanlp.backbones._text_to_text import open_alone
from metanlp.pipelines._chats import Chat, chats_of
from metanlp.pipelines._inputs import texts_of, too_long

TRANSLATION, DIALOGUE = "metanlp-translation", "metanlp-dialogue"
NO_LIMIT = 2**20  # pieces; tokenizers that know none say 10**30


def register_pipelines() -> None:
    """Make `transformers.pipeline("metanlp-translation", model=..., tokenizer=...)` work, and "metanlp-dialogue".

    A second call changes nothing.
    """
    known = PIPELINE_REGISTRY.get_supported_tasks()
    for name, pipeline, model in (
        (TRANSLATION, TextToTextPipeline, AutoModelForSeq2SeqLM),
        (DIALOGUE, ChatPipeline, AutoModelForCausalLM),
    ):
        if name not in known:
            PIPELINE_REGISTRY.register_pipeline(name, pipeline_class=pipeline, pt_model=model, type="text")


class ChatPipeline(TextGenerationPipeline):  # type: ignore[misc]
    """Any causal model with a chat template, or an adapter of one: chats in, the same with a reply out.

    As `text-generation`, but that it takes chats alone, strictly, and answers with the likeliest pieces unless `do_sample`.
    """

    def __call__(self, text_inputs: Any, **options: Any) -> Any:  # type: ignore[override]
        """`[{"generated_text": [*messages, reply]}]`; for a list of chats a list of these, for an iterator an iterator.

        `batch_size` chats are answered at a time.
        """
        chats = chats_of(text_inputs)
        options = {"do_sample": False, "max_new_tokens": 128, **options}
        if isinstance(chats, Chat):
            given: Any = list(chats.messages)
        elif isinstance(chats, list):
            given = [list(chat.messages) for chat in chats]
        else:
            given = (list(chat.messages) for chat in chats)
        return super().__call__(given, **options) if given else []


class TextToTextPipeline(Pipeline):
    """Any encoder-decoder: text in, `translation_text` out.

    Takes what `generate` takes (`num_beams`, `max_new_tokens`), and for models that know languages by codes also `src_lang`
    and `tgt_lang`. An empty text stays empty.
    """

    model: Any
    tokenizer: Any
    _load_tokenizer = True  # type: ignore[assignment]
    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.backbone = open_alone(self.model, self.tokenizer, min(self.tokenizer.model_max_length, NO_LIMIT))
        self._told = False

    def __call__(self, inputs: Any, *nothing: Any, **options: Any) -> Any:
        """`[{"translation_text": ...}, ...]`, one for each text; for an iterator, an iterator of the same.

        Warns once where a text is longer than the model reads.
        """
        texts, self._told = texts_of(inputs), False
        if isinstance(texts, list):
            return super().__call__(texts, **options) if texts else []
        return super().__call__((text for text in texts), **options)

    def _sanitize_parameters(
        self, src_lang: str | None = None, tgt_lang: str | None = None, **generate: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        languages = {"src_lang": src_lang, "tgt_lang": tgt_lang}
        reading = {name: code for name, code in languages.items() if code is not None}
        writing = generate if tgt_lang is None else {**generate, "tgt_lang": tgt_lang}
        return reading, writing, {}

    def preprocess(self, input_: Any, **reading: Any) -> dict[str, Any]:
        languages = self.backbone.languages
        for code in reading.values():
            languages.id_of(code)
        if "src_lang" in reading:
            self.tokenizer.src_lang = reading["src_lang"]
        text = self.backbone.prefix + input_
        if "tgt_lang" in reading and languages.before == "source":
            text = f"{spelt(self.tokenizer, reading['tgt_lang'])} {text}"
        if not self._told and len(self.tokenizer(text, verbose=False)["input_ids"]) > self.backbone.max_length:
            self._told = True
            warnings.warn(f"{input_[:40]!r}... {too_long(self.backbone.max_length)}", stacklevel=2)
        inputs = self.tokenizer(text, truncation=True, max_length=self.backbone.max_length, return_tensors="pt")
        read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        return {**read, "empty": not input_.strip()}

    def _forward(self, input_tensors: Any, **generate: Any) -> Any:
        read = {name: input_tensors[name] for name in ("input_ids", "attention_mask")}
        most = 128 if self.backbone.positions is None else min(128, self.backbone.positions - 1)
        length = {} if "max_length" in generate else {"max_new_tokens": most, "max_length": None}
        code = generate.pop("tgt_lang", None)
        first = code is not None and self.backbone.languages.before == "both"
        language = {"forced_bos_token_id": self.backbone.languages.id_of(code)} if first else {}
        written = self.model.generate(**read, **{"num_beams": 4, **length, **language, **generate})
        return {"output_ids": written, "empty": input_tensors["empty"]}

    def postprocess(self, model_outputs: Any, **_: Any) -> dict[str, str]:
        pieces = model_outputs["output_ids"][0]
        decode = self.backbone.target_tokenizer.decode
        text: Any = decode(pieces, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return {"translation_text": "" if model_outputs["empty"] else text}
