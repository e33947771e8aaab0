"""The messages on which the models are judged, and those that training has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import read_messages
from data.label_sets import classes_of, is_multi_label, multi_hot
from data.model_input import classifier_input
from data.workspace import UserError
from evaluation.metrics import TestSet
from evaluation.slices import length_bands, months, most_frequent, quarters

COLUMNS = (
    *("message_id", "thread_id", "subject", "text", "label", "channel", "language", "sent_at"),
    "sender_domain",
)


@dataclass(frozen=True, slots=True, repr=False)
class Messages:
    """Messages of a split as the models read them; never shown, never written."""

    message_ids: tuple[str, ...]
    threads: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str | None, ...]
    channels: tuple[str, ...]
    languages: tuple[str, ...]
    times: tuple[object, ...]
    domains: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.message_ids)


@dataclass(frozen=True, slots=True, repr=False)
class Case:
    """Everything that is asked of a model: labelled test messages, and what it may not have seen of them."""

    test: TestSet
    messages: Messages
    slices: Mapping[str, tuple[str, ...]]
    train: Messages
    seen: Messages  # train and valid, labelled or not


def read_case(prepared: str | Path) -> Case:
    """Read the labelled test messages and what training has seen.

    Raises:
        UserError: no labelled message in test or in train.
    """
    messages = _read(prepared, "test", labelled=True)
    train, valid = _read(prepared, "train", labelled=False), _read(prepared, "valid", labelled=False)
    labelled = [row for row, label in enumerate(train.labels) if label is not None]
    if not len(messages) or not labelled:
        missing = "test" if not len(messages) else "train"
        raise UserError(
            f"the {missing} split has no labelled message to judge by; give more labels: --labels CSV"
        )
    labels = [str(label) for label in messages.labels]
    names, truth = classes_of(labels), multi_hot(labels, classes_of(labels))
    several = is_multi_label(label for part in (messages, train, valid) for label in part.labels if label)
    threads = {thread: number for number, thread in enumerate(dict.fromkeys(messages.threads))}
    test = TestSet(
        messages.message_ids,
        np.array([threads[thread] for thread in messages.threads]),
        names,
        truth if several else truth.argmax(axis=1),
    )
    return Case(test, messages, slices_of(messages), _chosen(train, labelled), _joined(train, valid))


def slices_of(messages: Messages) -> dict[str, tuple[str, ...]]:
    """Return the kinds of slices, and in which slice of each kind every message is."""
    return {
        "channel": messages.channels,
        "language": messages.languages,
        "length": tuple(length_bands([len(text) for text in messages.texts])),
        "quarter": tuple(quarters(messages.times)),  # type: ignore[arg-type]
        "month": tuple(months(messages.times)),  # type: ignore[arg-type]
        "sender's domain": tuple(most_frequent(messages.domains)),
    }


def _read(prepared: str | Path, split: str, *, labelled: bool) -> Messages:
    table = read_messages(prepared, columns=COLUMNS, split=split, labelled=labelled).to_pydict()
    texts = (
        classifier_input(subject or "", text or "")
        for subject, text in zip(table["subject"], table["text"], strict=True)
    )
    return Messages(
        tuple(table["message_id"]),
        tuple(table["thread_id"]),
        tuple(texts),
        tuple(table["label"]),
        tuple(channel or "unknown" for channel in table["channel"]),
        tuple(language or "unknown" for language in table["language"]),
        tuple(table["sent_at"]),
        tuple(domain or "" for domain in table["sender_domain"]),
    )


def _chosen(messages: Messages, rows: list[int]) -> Messages:
    return Messages(*(tuple(column[row] for row in rows) for column in _columns(messages)))  # type: ignore[arg-type]


def _joined(one: Messages, other: Messages) -> Messages:
    pairs = zip(_columns(one), _columns(other), strict=True)
    return Messages(*(before + after for before, after in pairs))  # type: ignore[arg-type]


def _columns(messages: Messages) -> tuple[tuple[object, ...], ...]:
    return (
        messages.message_ids,
        messages.threads,
        messages.texts,
        messages.labels,
        messages.channels,
        messages.languages,
        messages.times,
        messages.domains,
    )


def date_of(times: tuple[object, ...], newest: bool) -> str:
    """Return the newest or the oldest day, or "" when no message has a date."""
    known = [time for time in times if time is not None]
    return str(max(known) if newest else min(known))[:10] if known else ""  # type: ignore[type-var]
