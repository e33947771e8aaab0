"""One message alone, the challenger and the champion in turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.latency import measure_latency

pytestmark = pytest.mark.slow  # torch's import


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer with random weights."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("classifier")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lunch", "noon"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_both_are_timed_on_the_same_messages(classifier: Path) -> None:
    latency = measure_latency(classifier, classifier, [f"lunch at noon {'noon ' * row}" for row in range(80)])

    assert latency is not None
    assert latency.messages == 50
    assert latency.champion_ms is not None
    assert 0.2 < latency.challenger_ms / latency.champion_ms < 5, "the same model, asked in turns"


def test_without_messages_nothing_was_measured(classifier: Path) -> None:
    assert measure_latency(classifier, None, []) is None
