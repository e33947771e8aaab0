"""The same question for every kind of message: is the challenger worse somewhere?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from evaluation.metrics import (
    Interval,
    Predictions,
    TestSet,
    by_thread,
    interval,
    resample,
    right,
    wider,
    wilson,
)
from evaluation.paired import holm, mcnemar


@dataclass(frozen=True, slots=True)
class SliceResult:
    """Accuracy on one slice, and the paired difference to the reference model."""

    kind: str
    value: str
    messages: int
    accuracy: Interval
    reference_accuracy: float
    difference: Interval
    p_holm: float


def length_bands(lengths: Sequence[int]) -> list[str]:
    """Name each message short, middle or long by thirds of the test messages."""
    low, high = np.quantile(np.asarray(lengths or [0]), [1 / 3, 2 / 3])
    return ["short" if length <= low else "middle" if length <= high else "long" for length in lengths]


def quarters(times: Sequence[datetime | None]) -> list[str]:
    """Name the quarter of each message; one without a date says so."""
    return [f"{time.year} Q{(time.month + 2) // 3}" if time else "undated" for time in times]


def months(times: Sequence[datetime | None]) -> list[str]:
    """Name the month of each message; one without a date is left to the quarters."""
    return [f"{time.year}-{time.month:02}" if time else "" for time in times]


def most_frequent(values: Sequence[str], count: int = 10) -> list[str]:
    """Put its rank before each of the most frequent values, call others "another"; what is empty stays so.

    Pseudonyms are in no order of their own: by rank, reports on the same mail of other people stay alike.
    """
    ranked = Counter(filter(None, values)).most_common(count)
    names = {value: f"{rank:02} {value}" for rank, (value, _) in enumerate(ranked, start=1)}
    return [names.get(value, "another") if value else "" for value in values]


def measure_slices(
    test: TestSet,
    challenger: Predictions,
    reference: Predictions,
    values: Mapping[str, Sequence[str]],
    *,
    minimum: int = 30,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> tuple[SliceResult, ...]:
    """Measure every slice of at least ``minimum`` messages; p-values are corrected over all of them.

    A message with an empty value is in no slice of that kind.
    """
    members = [
        (kind, value, np.asarray([entry == value for entry in entries]))
        for kind, entries in values.items()
        for value in sorted(set(entries) - {""})
    ]
    members = [member for member in members if member[2].sum() >= minimum]
    if not members:
        return ()
    own_right, reference_right = right(test, challenger), right(test, reference)
    corrected = holm([mcnemar(own_right[own], reference_right[own]) for _, _, own in members])
    columns = np.column_stack(
        [part * own for _, _, own in members for part in (np.ones(len(test)), own_right, reference_right)]
    )
    drawn = resample(by_thread(test.threads, columns.astype(np.float64)), draws=draws, seed=seed)
    results = []
    for position, (kind, value, own) in enumerate(members):
        count, hits, reference_hits = drawn[:, 3 * position : 3 * position + 3].T
        with np.errstate(invalid="ignore", divide="ignore"):
            accuracies, differences = hits / count, (hits - reference_hits) / count
        counted = wilson(int(own_right[own].sum()), int(own.sum()), confidence)
        accuracy = float(reference_right[own].mean())
        results.append(
            SliceResult(
                kind,
                value,
                int(own.sum()),
                wider(counted, interval(counted.value, accuracies, confidence)),
                accuracy,
                interval(counted.value - accuracy, differences, confidence),
                corrected[position],
            )
        )
    return tuple(results)
