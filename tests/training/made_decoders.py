"""A tiny decoder with random weights, a chat template and a vocabulary of the topics' and prompts' words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from data.prompts import read_prompts
from tests.training.made_encoders import write_tokenizer
from tests.training.made_messages import TOPICS
from training.grounded import SUMMARY

SIZE: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "intermediate_size": 64, "head_dim": 32,
}  # fmt: skip
TEMPLATE = (
    "{% for turn in messages %}<s> {{ turn['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<s> {% endif %}"
)


def write_decoder(kind: str, folder: Path, *, positions: int = 256, seed: int = 0, **size: Any) -> Path:
    """Write a causal language model of the given type, ``llama`` or ``qwen3``, and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    vocabulary = _vocabulary()
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        kind, vocab_size=len(vocabulary), max_position_embeddings=positions,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, tie_word_embeddings=False, **(SIZE | size),
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer = write_tokenizer(vocabulary, positions)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def _vocabulary() -> list[str]:
    prompts = read_prompts()
    texts = [text for topic in TOPICS.values() for text in topic]
    texts += [
        prompts.system,
        prompts.question,
        SUMMARY,
        "What was said about ? Ask person for more number of",
    ]
    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    return ["<s>", "<pad>", "</s>", "<unk>", *sorted(words | {str(number) for number in range(500)})]
