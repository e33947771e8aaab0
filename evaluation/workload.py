"""What a model costs the people who read its alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.label_sets import Truths
from evaluation.metrics import (
    Answers,
    Floats,
    Interval,
    Predictions,
    TestSet,
    by_thread,
    interval,
    resample,
    wider,
    wilson,
)


@dataclass(frozen=True, slots=True)
class Workload:
    """Alerts and their worth; a hit is an alert on a message that is truly not benign."""

    name: str
    alerts_per_1000: Interval
    hours_per_1000: Interval  # a reviewer's hours for 1,000 messages of the archive
    precision: Interval
    recall: Interval
    minutes_per_hit: Interval


def measure_workload(
    test: TestSet,
    models: tuple[Predictions, ...],
    benign: Sequence[str],
    *,
    minutes_per_alert: float,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> tuple[Workload, ...]:
    """Measure every model's alerts at its own operating point.

    Unless the test has both benign labels and others there is nothing to measure.
    """
    if not measurable(test, benign):
        return ()
    wanted = alerts(test, test.truth, benign)
    results = []
    for model in models:
        alert = alerts(test, model.predicted, benign)
        columns = np.column_stack([np.ones(len(test)), alert, alert & wanted, wanted]).astype(np.float64)
        drawn = resample(by_thread(test.threads, columns), draws=draws, seed=seed)
        results.append(
            _workload(model.name, columns, drawn, minutes=minutes_per_alert, confidence=confidence)
        )
    return tuple(results)


def measurable(test: TestSet, benign: Sequence[str]) -> bool:
    """Tell whether the test has both messages that deserve an alert and messages that do not."""
    return 0 < sum(label in benign for label in test.labels) < len(test.labels)


def alerts(test: TestSet, answers: Answers, benign: Sequence[str]) -> Truths:
    """Return which messages raise an alert, given their labels: all with one that is not benign."""
    quiet = [code for code, label in enumerate(test.labels) if label in benign]
    if answers.ndim == 1:
        return ~np.isin(answers, quiet)
    return np.asarray(np.delete(answers, quiet, axis=1).any(axis=1))


def scaled(figure: Interval, factor: float) -> Interval:
    """Return the figure in another unit."""
    return Interval(figure.value * factor, figure.low * factor, figure.high * factor)


def _workload(name: str, columns: Floats, drawn: Floats, *, minutes: float, confidence: float) -> Workload:
    total, raised, hits, positives = (int(number) for number in columns.sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares, precisions = drawn[:, 1] / drawn[:, 0], drawn[:, 2] / drawn[:, 1]
        recalls = drawn[:, 2] / drawn[:, 3]
    share = wider(wilson(raised, total, confidence), interval(raised / total, shares, confidence))
    precision = wilson(hits, raised, confidence)
    precision = wider(precision, interval(precision.value, precisions, confidence))
    recall = wilson(hits, positives, confidence)
    return Workload(
        name,
        scaled(share, 1000),
        scaled(share, 1000 * minutes / 60),
        precision,
        wider(recall, interval(recall.value, recalls, confidence)),
        Interval(*(_minutes(minutes, worth) for worth in (precision.value, precision.high, precision.low))),
    )


def _minutes(minutes_per_alert: float, precision: float) -> float:
    return minutes_per_alert / precision if precision > 0 else float("inf")
