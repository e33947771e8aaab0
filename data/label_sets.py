"""Several labels of one message, written as one: ``gifts_and_bribery|off_channel``.

A set is its members in order, joined by ``|``; a single label is a set of one. A dataset with a set in it
is a multi-label one: its classes are the members, and a classifier says of each class whether it applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEPARATOR = "|"
PROBLEM_TYPE = "multi_label_classification"  # what transformers and vLLM answer with a sigmoid to
THRESHOLDS = "label_thresholds"  # the key of a classifier's config.json: one a class, of what engines give

Truths = NDArray[np.bool_]


def members(label: str) -> tuple[str, ...]:
    """Return the labels of a set, in order."""
    return tuple(label.split(SEPARATOR))


def joined(labels: Iterable[str]) -> str:
    """Return the labels as one, whatever their order and however often each is said."""
    return SEPARATOR.join(sorted(set(labels)))


def as_written(cell: str) -> str:
    """Return what a person wrote, ``b | a``, as datasets hold it: ``a|b``."""
    return joined(name.strip() for name in cell.split(SEPARATOR) if name.strip())


def is_multi_label(labels: Iterable[str]) -> bool:
    """Say whether any of the labels is a set of several."""
    return any(SEPARATOR in label for label in labels)


def classes_of(labels: Iterable[str]) -> tuple[str, ...]:
    """Return every label that occurs, alone or in a set, in order."""
    return tuple(sorted({member for label in labels for member in members(label)}))


def multi_hot(labels: Sequence[str], classes: Sequence[str]) -> Truths:
    """Return whether each class applies (labels × classes); a member that is no class is left out."""
    column = {name: place for place, name in enumerate(classes)}
    applies = np.zeros((len(labels), len(classes)), dtype=bool)
    for row, label in enumerate(labels):
        applies[row, [column[member] for member in members(label) if member in column]] = True
    return applies


def given(probabilities: NDArray[Any], thresholds: Sequence[float] | None) -> Truths:
    """Return which classes a model gives to each message (messages × classes).

    With thresholds, those that reach theirs; where none does, the most probable one, so that every
    message gets an answer. Without thresholds the classes exclude each other: the most probable one.
    """
    passing = np.zeros(probabilities.shape, dtype=bool)
    if thresholds is not None:
        passing = np.asarray(probabilities >= np.asarray(thresholds, dtype=probabilities.dtype))
    none = np.flatnonzero(~passing.any(axis=1))
    passing[none, probabilities[none].argmax(axis=1)] = True
    return passing


def named(applies: Truths, classes: Sequence[str]) -> list[str]:
    """Return the classes that apply to each message as one label."""
    return [joined(classes[column] for column in np.flatnonzero(row)) for row in applies]


def sigmoid_at(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Return the sigmoid of the logits divided by ``temperature``: each class by itself."""
    stated = np.clip(np.asarray(probabilities, np.float64), 1e-12, 1 - 1e-12)
    return np.asarray(1 / (1 + (1 / stated - 1) ** (1 / temperature)), np.float64)
