"""Small random causal models of the real classes, with the chat templates that the Hub's models have, in short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backbones.real_formats import SENTENCES, model_of

CHATML = (  # SmolLM2's, Qwen2's
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
    "{% endif %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = (  # Qwen3's: the last reply comes after thoughts, unless there are to be none
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
STRICT = (  # Gemma's: no system message, the user begins, texts are trimmed
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content | trim + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
}
TEMPLATES = {"llama": CHATML, "qwen2": CHATML, "qwen3": THINKING, "gpt_neox": None, "gemma": STRICT}
CLASSES = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {"num_key_value_heads": 1}),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {"num_key_value_heads": 1}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {"num_key_value_heads": 1, "head_dim": 8}),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", {}),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", {"num_key_value_heads": 1, "head_dim": 8}),
}


def tokenizer_of(template: str | None) -> Any:
    """A byte-level one as SmolLM2's."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trained.train_from_iterator(SENTENCES, vocab_size=340, special_tokens=marks, show_progress=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        bos_token="<|endoftext|>" if template == STRICT else None,
        eos_token="<|endoftext|>" if template is None else "<|im_end|>",
        pad_token=None if template is None else "<|endoftext|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = template
    return tokenizer


def save_causal(name: str, folder: Path) -> Path:
    """A model and its tokenizer as a `from_pretrained` folder."""
    import transformers

    config, cls, more = CLASSES[name]
    tokenizer = tokenizer_of(TEMPLATES[name])
    marks = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    made = getattr(transformers, config)(vocab_size=len(tokenizer) + 3, **SIZES, **marks, **more)
    model_of(getattr(transformers, cls), made).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
