"""What a model costs the people who read its alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import (
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
    precision: Interval
    recall: Interval
    minutes_per_hit: Interval
    recall_at_equal_work: float | None  # share found when it may raise as many alerts as the challenger


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
    """Measure every model's alerts; the first model sets the workload at which the others are compared.

    Unless the test has both benign labels and others there is nothing to measure.
    """
    quiet = [code for code, label in enumerate(test.labels) if label in benign]
    if not quiet or len(quiet) == len(test.labels):
        return ()
    wanted = ~np.isin(test.truth, quiet)
    budget = int((~np.isin(models[0].predicted, quiet)).sum())
    results = []
    for model in models:
        alert = ~np.isin(model.predicted, quiet)
        columns = np.column_stack([np.ones(len(test)), alert, alert & wanted, wanted]).astype(np.float64)
        drawn = resample(by_thread(test.threads, columns), draws=draws, seed=seed)
        results.append(
            _workload(
                model, columns, drawn, wanted, budget=budget, minutes=minutes_per_alert, confidence=confidence
            )
        )
    return tuple(results)


def _workload(
    model: Predictions,
    columns: Floats,
    drawn: Floats,
    wanted: np.ndarray,
    *,
    budget: int,
    minutes: float,
    confidence: float,
) -> Workload:
    total, alerts, hits, positives = (int(number) for number in columns.sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares, precisions = drawn[:, 1] / drawn[:, 0], drawn[:, 2] / drawn[:, 1]
        recalls = drawn[:, 2] / drawn[:, 3]
    share = wider(wilson(alerts, total, confidence), interval(alerts / total, shares, confidence))
    precision = wilson(hits, alerts, confidence)
    precision = wider(precision, interval(precision.value, precisions, confidence))
    recall = wilson(hits, positives, confidence)
    return Workload(
        model.name,
        Interval(*(1000 * number for number in (share.value, share.low, share.high))),
        precision,
        wider(recall, interval(recall.value, recalls, confidence)),
        Interval(*(_minutes(minutes, worth) for worth in (precision.value, precision.high, precision.low))),
        None if model.alert_score is None else _found(model.alert_score, wanted, budget),
    )


def _minutes(minutes_per_alert: float, precision: float) -> float:
    return minutes_per_alert / precision if precision > 0 else float("inf")


def _found(scores: Floats, wanted: np.ndarray, budget: int) -> float:
    """Return the share of wanted messages among the ``budget`` best; ties count by their expectation."""
    if budget == 0 or not wanted.any():
        return 0.0
    threshold = np.partition(scores, -budget)[-budget]
    above, tied = scores > threshold, scores == threshold
    found = wanted[above].sum() + wanted[tied].mean() * (budget - above.sum())
    return float(found / wanted.sum())
