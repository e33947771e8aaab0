"""The text that a model sees of a message: one function for training, evaluation and serving."""

from __future__ import annotations

from data.redact import model_view


def classifier_input(subject: str, text: str) -> str:
    """Return what the classifier reads of a message: subject, line break, text, placeholders as plain words.

    A message without a subject still begins with the line break's place, because the training
    data of chats and transcripts looks the same way.
    """
    return model_view(f"{subject}\n{text}")
