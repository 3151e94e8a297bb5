"""Transformers' EncoderDecoderModel without the encoder's pooler, which a decoder does not read."""

from __future__ import annotations

import inspect
from typing import Any

import transformers


class EncoderDecoderModel(transformers.EncoderDecoderModel):
    """Named as the original, whose name stands in a saved folder and which loads that too.

    Many encoders are saved without a pooler, and transformers would draw them a random one.
    """

    def __init__(self, config: Any = None, encoder: Any = None, decoder: Any = None) -> None:
        super().__init__(config, encoder, decoder)
        if "add_pooling_layer" in inspect.signature(type(self.encoder)).parameters:
            self.encoder.pooler = None
