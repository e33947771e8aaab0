"""The messages that the challenger got most confidently wrong: named by their ids, shown to nobody here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import Predictions, TestSet, called, right, truly_called
from evaluation.occlusion import Fall

LISTED = 20
OF_CRITICAL = 10  # the other half is left for what was wrongly raised, or taken for another class


@dataclass(frozen=True, slots=True)
class WorstError:
    """One wrong answer; ``message_id`` names the message in the prepared dataset."""

    message_id: str
    label: str
    predicted: str
    confidence: float
    channel: str
    month: str
    critical: bool  # a message of a critical class that was missed
    sentence: Fall | None = (
        None  # what the answer rests on, by places alone: its words are shown nowhere here
    )
    words: tuple[Fall, ...] = ()

    @property
    def short_id(self) -> str:
        """Return the first letters of the id, enough to tell the messages of a test apart."""
        return self.message_id[:12]


@dataclass(frozen=True, slots=True)
class Errors:
    """How many answers were wrong, and the worst of them."""

    wrong: int
    missed_critical: int
    worst: tuple[WorstError, ...]


def worst_errors(
    test: TestSet,
    predictions: Predictions,
    critical: Collection[str],
    *,
    channels: Sequence[str],
    times: Sequence[object],
) -> Errors | None:
    """Return the most confident errors, missed critical classes first; None without probabilities.

    Each of the two groups gets half of the list, or more where the other one does not need it.
    """
    if predictions.probabilities is None:
        return None
    confidence = np.nan_to_num(predictions.probabilities).max(axis=1)
    wrong = np.flatnonzero(~right(test, predictions))
    order = wrong[np.argsort(-confidence[wrong], kind="stable")].tolist()
    places = [place for place, label in enumerate(test.labels) if label in critical]
    unfound = np.any((test.applies & ~predictions.given(test)[:, :-1])[:, places], axis=1).tolist()
    missed = [row for row in order if unfound[row]]
    others = [row for row in order if not unfound[row]]
    room = max(OF_CRITICAL, LISTED - len(others))
    chosen = (missed[:room] + others)[:LISTED]
    truth, said = truly_called(test), called(test, predictions)
    worst = tuple(
        WorstError(
            test.message_ids[row],
            truth[row],
            said[row],
            float(confidence[row]),
            channels[row],
            str(times[row])[:7] if times[row] else "undated",
            unfound[row],
        )
        for row in chosen
    )
    return Errors(len(wrong), len(missed), worst)
