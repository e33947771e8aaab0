"""The text that a model sees of a message: one function for training, evaluation and serving."""

from __future__ import annotations

import json
from pathlib import Path

from data.redact import model_view

CLASSIFIER_TOKENS = 256  # read of a text at least, however short the texts of its training were cut


def classifier_input(subject: str, text: str) -> str:
    """Return what the classifier reads of a message: subject, line break, text, placeholders as plain words.

    A message without a subject still begins with the line break's place, because the training
    data of chats and transcripts looks the same way.
    """
    return model_view(f"{subject}\n{text}")


def tokens_read(classifier: Path) -> int:
    """Return the tokens after which a merged classifier's texts are cut, in evaluation and by the engines."""
    config = json.loads((classifier / "config.json").read_text(encoding="utf-8"))
    return int(config.get("max_seq_length", CLASSIFIER_TOKENS))
