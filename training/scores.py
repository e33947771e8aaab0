"""What a classifier says of messages, and the figures and the temperature that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of ``labels``, one row per message: float32 of shape (messages, labels)."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def best(self) -> list[str]:
        """Return the most probable label of every message."""
        return [self.labels[column] for column in self.probabilities.argmax(axis=1)]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well the classifier does on messages whose label is known."""

    messages: int
    accuracy: float
    macro_f1: float
    log_loss: float


def measure(labels: Sequence[str], scores: Scores) -> Metrics:
    """Compare scores with the true labels.

    Macro-F1 averages over the labels that occur among ``labels``; a label that the classifier has
    never seen counts as 0. The log loss leaves such messages out.
    """
    from sklearn.metrics import accuracy_score, f1_score

    said = scores.best()
    present = sorted(set(labels))
    known, columns = _known(labels, scores.labels)
    true_probability = scores.probabilities[known, columns].clip(1e-7)
    return Metrics(
        messages=len(labels),
        accuracy=float(accuracy_score(labels, said)),
        macro_f1=float(f1_score(labels, said, labels=present, average="macro", zero_division=0)),
        log_loss=float(-np.log(true_probability).mean()) if known else float("nan"),
    )


def fit_temperature(labels: Sequence[str], scores: Scores) -> float:
    """Return the temperature that makes the probabilities honest (Guo et al. 2017): least log loss.

    Above 1 the classifier was too sure of itself. Fitted on valid, written beside the model and
    never baked into it. 1.0 when no message has a known label.
    """
    from scipy.optimize import minimize_scalar

    known, columns = _known(labels, scores.labels)
    if not known:
        return 1.0

    def log_loss(logarithm: float) -> float:
        tempered = apply_temperature(scores, float(np.exp(logarithm)))
        return float(-np.log(tempered.probabilities[known, columns].clip(1e-7)).mean())

    found: Any = minimize_scalar(log_loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def apply_temperature(scores: Scores, temperature: float) -> Scores:
    """Return the probabilities that the logits divided by ``temperature`` give."""
    logits = np.log(scores.probabilities.clip(1e-12).astype(np.float64)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Scores(scores.labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))


def _known(labels: Sequence[str], known_labels: Sequence[str]) -> tuple[list[int], list[int]]:
    column = {label: position for position, label in enumerate(known_labels)}
    rows = [row for row, label in enumerate(labels) if label in column]
    return rows, [column[labels[row]] for row in rows]
