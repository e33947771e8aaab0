"""How far reviewers agree beyond chance, on the first two labels that each message got.

Third labels are left out: only disputed messages get one, so they would make agreement look worse
than it is. Two reviewers in all: Cohen's kappa (1960). More, who share the messages in changing pairs:
Krippendorff's alpha for names (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"), which
needs no fixed pair, where Fleiss' kappa needs the same number of labels for every message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.review import Review
from evaluation.metrics import Floats, Interval, interval

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Agreement:
    """One coefficient with its interval; 1 is agreement on every message, 0 what chance would give."""

    name: Literal["Cohen's kappa", "Krippendorff's alpha"]
    value: Interval
    messages: int
    agreed: int
    reviewers: int

    def __str__(self) -> str:
        value = self.value if self.value.known else "cannot be told, all labels are the same,"
        return (
            f"{self.name} {value} on {self.messages:,} messages labelled twice; "
            f"{self.agreed:,} alike, {self.reviewers} reviewers"
        )


def measure_agreement(
    reviews: Iterable[Review], *, draws: int = 2000, confidence: float = 0.95, seed: int = 7
) -> Agreement | None:
    """Return the agreement of double review, or None while no message was labelled twice.

    The interval draws messages with replacement (percentiles). It is NaN where chance alone would
    always agree: with one label in all, nothing can be told.
    """
    twice = [sorted(review.first[:2]) for review in reviews if len(review.first) >= 2]
    if not twice:
        return None
    names = sorted({reviewer for pair in twice for reviewer, _ in pair})
    pairs = [(one[1], other[1]) for one, other in twice]
    statistic = cohen_kappa if len(names) == 2 else krippendorff_alpha
    return Agreement(
        "Cohen's kappa" if len(names) == 2 else "Krippendorff's alpha",
        coefficient(statistic, pairs, draws=draws, confidence=confidence, seed=seed),
        len(pairs),
        sum(one == other for one, other in pairs),
        len(names),
    )


def coefficient(
    statistic: Callable[[Floats], Floats], pairs: Sequence[Pair], *, draws: int, confidence: float, seed: int
) -> Interval:
    """Return one of the coefficients below for pairs of labels, with the interval over drawn pairs."""
    counts = _counted(pairs)
    chance = np.random.default_rng(seed)
    drawn = chance.multinomial(len(pairs), counts.ravel() / len(pairs), size=draws).reshape(-1, *counts.shape)
    return interval(float(statistic(counts[None])[0]), statistic(drawn.astype(np.float64)), confidence)


def cohen_kappa(counts: Floats) -> Floats:
    """Return kappa of each table of counts, (draws, labels, labels): first reviewer by second."""
    total = counts.sum(axis=(1, 2))
    observed = np.trace(counts, axis1=1, axis2=2) / total
    expected = (counts.sum(axis=1) * counts.sum(axis=2)).sum(axis=1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (observed - expected) / (1 - expected)


def krippendorff_alpha(counts: Floats) -> Floats:
    """Return alpha for names of each table of counts, (draws, labels, labels), two labels a message."""
    coincidences = counts + counts.transpose(0, 2, 1)
    margins = coincidences.sum(axis=1)
    total = margins.sum(axis=1)
    differing = total - np.trace(coincidences, axis1=1, axis2=2)
    by_chance = (total**2 - (margins**2).sum(axis=1)) / (total - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - differing / by_chance


def _counted(pairs: Sequence[Pair]) -> Floats:
    labels = sorted({label for pair in pairs for label in pair})
    counts = np.zeros((len(labels), len(labels)))
    for one, other in pairs:
        counts[labels.index(one), labels.index(other)] += 1
    return counts
