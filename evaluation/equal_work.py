"""Who finds most in the same hours: every way of choosing what to read, at one number of alerts.

A way of choosing is an order of the messages: its alerts first, the surest before the others.
Where it raises fewer alerts than may be read, the time left goes to messages drawn at random.
All ways are resampled on the same draws of threads, so their differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.label_sets import Truths
from evaluation.metrics import (
    Floats,
    Integers,
    Interval,
    Predictions,
    TestSet,
    interval,
    thread_weights,
    wider,
    wilson,
)
from evaluation.workload import alerts, measurable

UNION = "challenger or lexicon"
RANKED = "lexicon, challenger's order"
POINTS = 40  # of a curve
BEYOND = 2.5  # a curve ends at so many times the challenger's work


@dataclass(frozen=True, slots=True)
class WorkCurve:
    """Share of the wanted messages found, against a reviewer's hours per 1,000 messages."""

    name: str
    hours: tuple[float, ...]
    found: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Strategy:
    """What one way of choosing finds with the challenger's number of alerts."""

    name: str
    found: Interval
    minutes_per_hit: float
    behind: Interval  # the challenger's share minus this one's, paired


@dataclass(frozen=True, slots=True)
class EqualWork:
    """All ways of choosing at the challenger's workload; the challenger comes first."""

    alerts: int
    hours_per_1000: float
    strategies: tuple[Strategy, ...]
    curves: tuple[WorkCurve, ...]


def measure_equal_work(
    test: TestSet,
    models: tuple[Predictions, ...],
    benign: Sequence[str],
    *,
    minutes_per_alert: float,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> EqualWork | None:
    """Compare the models, the challenger first, at as many alerts as the challenger raises.

    None when there is nothing to find, nothing benign, or no alert. The alerts of a model without
    an alert score are read in any order.
    """
    if not measurable(test, benign):
        return None
    budget = int(alerts(test, models[0].predicted, benign).sum())
    if not budget:
        return None
    shares = _shares(budget, len(test))
    wanted = alerts(test, test.truth, benign)
    orders = [priority(test, model, benign) for model in models]
    everybody = np.ones((1, test.thread_count))
    found = [found_by(order, wanted, test.threads, shares, everybody)[0] for order in orders]
    blocks = [
        [found_by(order, wanted, test.threads, shares, weights) for order in orders]
        for weights in thread_weights(test.thread_count, draws=draws, seed=seed)
    ]
    drawn = [np.vstack(parts) for parts in zip(*blocks, strict=True)]
    here = int(np.searchsorted(shares, budget / len(test)))
    hours = 1000 * minutes_per_alert / 60
    return EqualWork(
        budget,
        budget / len(test) * hours,
        tuple(
            Strategy(
                model.name,
                _found(values[here], drawn_values[:, here], int(wanted.sum()), confidence),
                _minutes_per_hit(budget * minutes_per_alert, values[here] * wanted.sum()),
                interval(
                    found[0][here] - values[here], drawn[0][:, here] - drawn_values[:, here], confidence
                ),
            )
            for model, values, drawn_values in zip(models, found, drawn, strict=True)
        ),
        tuple(
            _curve(model.name, shares * hours, values, drawn_values, confidence)
            for model, values, drawn_values in zip(models, found, drawn, strict=True)
        ),
    )


def union_of(
    test: TestSet, challenger: Predictions, lexicon: Predictions, benign: Sequence[str]
) -> Predictions:
    """Read what either raises; cut short, take turns: the challenger's surest, the lexicon's surest, ..."""
    by_model, by_lexicon = places(test, challenger, benign), places(test, lexicon, benign, challenger)
    hit = alerts(test, lexicon.predicted, benign)
    turns = np.where(hit, np.minimum(2 * by_model, 2 * by_lexicon + 1), 2 * by_model)
    flagged = alerts(test, challenger.predicted, benign)[:, None]
    predicted = np.where(flagged, challenger.given(test), lexicon.given(test))
    return Predictions(UNION, predicted, alert_score=-turns.astype(np.float64))


def reranked(
    test: TestSet, challenger: Predictions, lexicon: Predictions, benign: Sequence[str]
) -> Predictions:
    """Read the lexicon's alerts alone, in the challenger's order."""
    hit = alerts(test, lexicon.predicted, benign)
    scores = np.where(hit, priority(test, challenger, benign), -1)
    return Predictions(RANKED, lexicon.predicted, alert_score=scores.astype(np.float64))


def priority(test: TestSet, model: Predictions, benign: Sequence[str]) -> Integers:
    """Return how soon each message is read: higher is sooner, equal is by chance, alerts come first."""
    scores = np.zeros(len(test)) if model.alert_score is None else model.alert_score
    _, ranks = np.unique(scores, return_inverse=True)
    return ranks + (ranks.max() + 1) * alerts(test, model.predicted, benign)


def places(
    test: TestSet, model: Predictions, benign: Sequence[str], breaks_ties: Predictions | None = None
) -> Integers:
    """Return each message's place in the model's order, 0 first; ties fall as the second model says."""
    other = priority(test, breaks_ties, benign) if breaks_ties else np.zeros(len(test), dtype=np.int64)
    order = np.lexsort((-other, -priority(test, model, benign)))
    return np.argsort(order)


def found_by(order: Integers, wanted: Truths, threads: Integers, shares: Floats, weights: Floats) -> Floats:
    """Return the share of wanted messages found after reading each share of all (draws × shares).

    ``weights`` (draws × threads) says how often each thread is there. Among messages of one
    priority the expectation of a random order counts.
    """
    sorted_rows = np.argsort(-order, kind="stable")
    last_of_tie = np.append(np.diff(order[sorted_rows]) != 0, True)
    present = weights[:, threads[sorted_rows]]
    read = np.cumsum(present, axis=1)[:, last_of_tie]
    hits = np.cumsum(present * wanted[sorted_rows], axis=1)[:, last_of_tie]
    start = np.zeros((len(weights), 1))
    found = [
        np.interp(shares * read_there[-1], read_there, hits_there)
        for read_there, hits_there in zip(np.hstack([start, read]), np.hstack([start, hits]), strict=True)
    ]
    with np.errstate(invalid="ignore"):
        return np.array(found) / hits[:, -1:]


def _shares(budget: int, messages: int) -> Floats:
    """Return what to draw a curve at: equal steps, and the budget itself."""
    end = min(1.0, BEYOND * budget / messages)
    return np.unique(np.append(np.linspace(0, end, POINTS), budget / messages))


def _found(value: float, draws: Floats, positives: int, confidence: float) -> Interval:
    counted = wilson(round(value * positives), positives, confidence)
    return wider(
        Interval(float(value), min(counted.low, float(value)), max(counted.high, float(value))),
        interval(float(value), draws, confidence),
    )


def _minutes_per_hit(minutes: float, hits: float) -> float:
    return float(minutes / hits) if hits > 0 else float("inf")


def _curve(name: str, hours: Floats, found: Floats, drawn: Floats, confidence: float) -> WorkCurve:
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail], axis=0)
    return WorkCurve(name, *(tuple(part.tolist()) for part in (hours, found, low, high)))
