"""What a classifier says of messages, and the figures and the temperature that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.label_sets import Truths, classes_of, given, multi_hot, named, sigmoid_at


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of ``labels``, one row per message: float32 of shape (messages, labels)."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]
    thresholds: tuple[float, ...] | None = None  # of a multi-label classifier: from there a label is given
    decided: Truths | None = None  # what was given before a temperature rounded both to the same number

    def given(self) -> Truths:
        """Return whether each label is given (messages × labels): the most probable, or all that pass."""
        return given(self.probabilities, self.thresholds) if self.decided is None else self.decided

    def best(self) -> list[str]:
        """Return what every message is called: one label, or a set."""
        return named(self.given(), self.labels)


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well the classifier does on messages whose label is known."""

    messages: int
    accuracy: float
    macro_f1: float
    log_loss: float


def measure(labels: Sequence[str], scores: Scores) -> Metrics:
    """Compare scores with the true labels; of sets, accuracy asks for the whole set.

    Macro-F1 averages over the labels that occur among ``labels``; a label that the classifier has
    never seen counts as 0. The log loss leaves such messages out, of sets such labels.
    """
    from sklearn.metrics import accuracy_score, f1_score

    if scores.thresholds is not None:
        return _measure_sets(labels, scores)
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


def _measure_sets(labels: Sequence[str], scores: Scores) -> Metrics:
    from sklearn.metrics import f1_score

    present = classes_of(labels)
    everything = sorted({*present, *scores.labels})
    truth, said = multi_hot(labels, everything), multi_hot(scores.best(), everything)
    judged = [everything.index(label) for label in present]
    return Metrics(
        messages=len(labels),
        accuracy=float((truth == said).all(axis=1).mean()),
        macro_f1=float(f1_score(truth, said, labels=judged, average="macro", zero_division=0)),
        log_loss=_log_loss_of_sets(multi_hot(labels, scores.labels), scores),
    )


def _log_loss_of_sets(truth: Truths, scores: Scores) -> float:
    stated = scores.probabilities.astype(np.float64).clip(1e-7, 1 - 1e-7)
    return float(-np.log(np.where(truth, stated, 1 - stated)).mean()) if len(truth) else float("nan")


def with_best_thresholds(labels: Sequence[str], scores: Scores) -> Scores:
    """Return the scores with the threshold of each label that has the best F1 on these messages.

    It lies in the middle of the gap below the last message that it lets pass (Lipton, Elkan and
    Narayanaswamy 2014 on why it is not one half); of equally good ones the one nearest to one half, and
    one half where no message has the label. Chosen on valid, where the F1 is then a little too good.
    """
    truth = multi_hot(labels, scores.labels)
    pairs = zip(truth.T, scores.probabilities.T, strict=True)
    return replace(scores, thresholds=tuple(_best_threshold(wanted, stated) for wanted, stated in pairs))


def _best_threshold(wanted: NDArray[np.bool_], stated: NDArray[np.float32]) -> float:
    from sklearn.metrics import precision_recall_curve

    if not wanted.any():
        return 0.5
    precision, recall, levels = precision_recall_curve(wanted, stated.astype(np.float64))
    middles = (levels + np.concatenate([[0.0], levels[:-1]])) / 2
    f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-12)
    best = middles[f1 >= f1.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def fit_temperature(labels: Sequence[str], scores: Scores) -> float:
    """Return the temperature that makes the probabilities honest (Guo et al. 2017): least log loss.

    Above 1 the classifier was too sure of itself. Fitted on valid, written beside the model and
    never baked into it. 1.0 when no message has a known label.
    """
    from scipy.optimize import minimize_scalar

    known, columns = _known(labels, scores.labels)
    if not known and scores.thresholds is None:
        return 1.0
    truth = multi_hot(labels, scores.labels)

    def log_loss(logarithm: float) -> float:
        tempered = apply_temperature(scores, float(np.exp(logarithm)))
        if scores.thresholds is not None:
            return _log_loss_of_sets(truth, tempered)
        return float(-np.log(tempered.probabilities[known, columns].clip(1e-7)).mean())

    found: Any = minimize_scalar(log_loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded")
    return float(np.exp(found.x))


def apply_temperature(scores: Scores, temperature: float) -> Scores:
    """Return the probabilities that the logits divided by ``temperature`` give; the labels given stay."""
    if scores.thresholds is not None:
        cooled = sigmoid_at(scores.probabilities, temperature)
        bounds = sigmoid_at(np.array(scores.thresholds), temperature)
        return Scores(scores.labels, cooled.astype(np.float32), tuple(bounds.tolist()), scores.given())
    logits = np.log(scores.probabilities.clip(1e-12).astype(np.float64)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Scores(scores.labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))


def _known(labels: Sequence[str], known_labels: Sequence[str]) -> tuple[list[int], list[int]]:
    column = {label: position for position, label in enumerate(known_labels)}
    rows = [row for row, label in enumerate(labels) if label in column]
    return rows, [column[labels[row]] for row in rows]
