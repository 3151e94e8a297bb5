"""Chats that causal models read and answer in tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metanlp.data.types import Prompt

CHAT = Prompt("", "der alte Mann", turns=("the cat", "sat on", "the mat"), system="wasi ukupi")
ROWS = [CHAT, Prompt("a small bird", "bread"), replace(CHAT, output="ki te kainga te ngeru iti"), Prompt("12", "345")]


def words(backbone: Any, prompt: Prompt) -> tuple[str, str]:
    pieces = backbone.learnt(prompt)
    return backbone.tokenizer.decode(pieces.before), backbone.tokenizer.decode(pieces.reply)
