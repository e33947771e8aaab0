"""How much of what an archive holds the classifier finds, from the few messages that are labelled.

The archive falls into strata by what the classifier says of it: flagged, near the threshold, the
rest (its labels are an elusion sample). In each, the labelled messages stand for all of them.

Estimate: every stratum's hits expanded by size over sample (Horvitz-Thompson; Cochran 1977, ch. 5).
Interval: each stratum's share of hits is drawn from its confidence distribution with half-correction
(Schweder and Hjort 2016), whose quantiles are the mid-P interval; draws of all strata are combined
(Krishnamoorthy and Lee 2010). The labelled hits are known, those of the others are drawn as a
binomial, and recall is computed of each draw. A normal interval fails here, since hits among the rest
are rare, often none in the sample (Webber 2013). Messages of one thread resemble each other: hits and
sample are divided by the design effect first (Rao and Scott 1992).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import Floats, Integers, Interval

FLAGGED, NEAR, REST = "flagged", "near the threshold", "the rest"
STRATA = (FLAGGED, NEAR, REST)
NEAR_SHARE = 0.1  # of the messages that are not flagged: those with the highest scores
DRAWS = 10_000
PILOT = 100  # first labels of a stratum that has none


@dataclass(frozen=True, slots=True)
class Stratum:
    """One part of the archive: ``messages`` in it, ``labelled`` of them read, ``hits`` of these wanted."""

    name: str
    messages: int
    labelled: int
    hits: int
    design_effect: float = 1.0  # how many labelled messages tell as much as one drawn alone

    @property
    def share(self) -> float:
        """The share of hits among the labelled; NaN without one."""
        return self.hits / self.labelled if self.labelled else math.nan


@dataclass(frozen=True, slots=True)
class ArchiveRecall:
    """The share of the wanted messages that the classifier flags, over all messages of the strata.

    ``scored`` is how many unlabelled messages the sizes were counted on: in a large archive a sample.
    """

    strata: tuple[Stratum, ...]
    scored: int
    recall: Interval
    hits: Interval  # wanted messages in the archive
    missed: Interval  # wanted messages that are not flagged
    confidence: float = 0.95
    doubts: tuple[str, ...] = ()  # strata whose labelled messages do not score like the others


@dataclass(frozen=True, slots=True)
class MoreLabels:
    """How many more messages of a stratum to label."""

    stratum: str
    more: int


def estimate_recall(
    strata: Sequence[Stratum],
    *,
    scored: int | None = None,
    draws: int = DRAWS,
    confidence: float = 0.95,
    seed: int = 7,
) -> ArchiveRecall:
    """Estimate the recall; NaN when a stratum with messages has no label, or no labelled message is a hit.

    ``scored``: on how many unlabelled messages the sizes were counted; all of them by default.
    """
    unlabelled = sum(stratum.messages - stratum.labelled for stratum in strata)
    drawn_from = unlabelled if scored is None else min(scored, unlabelled)
    if any(stratum.messages and not stratum.labelled for stratum in strata):
        unknown = Interval(math.nan, math.nan, math.nan)
        return ArchiveRecall(tuple(strata), drawn_from, unknown, unknown, unknown, confidence)
    random = np.random.default_rng(seed)
    sizes = _sizes(strata, drawn_from, draws, random)
    hits = np.column_stack(
        [_drawn_hits(stratum, sizes[:, place], random) for place, stratum in enumerate(strata)]
    )
    expected = np.array([stratum.messages * stratum.share if stratum.messages else 0.0 for stratum in strata])
    found = np.array([stratum.name == FLAGGED for stratum in strata])
    everything, missed = hits.sum(axis=1), hits[:, ~found].sum(axis=1)
    with np.errstate(invalid="ignore"):
        recalls = 1 - missed / everything
    return ArchiveRecall(
        tuple(strata),
        drawn_from,
        _range(
            float(expected[found].sum() / expected.sum()) if expected.sum() else math.nan, recalls, confidence
        ),
        _range(float(expected.sum()), everything, confidence),
        _range(float(expected[~found].sum()), missed, confidence),
        confidence,
    )


def labels_for(recall: ArchiveRecall, within: float) -> tuple[MoreLabels, ...]:
    """Return how many more labels of which strata bring the interval to ± ``within``, as few as possible.

    Neyman's allocation (Cochran 1977, ch. 5.5) for the linearised ratio, with labels that exist and
    sizes as bounds. Shares are smoothed by half a hit, as a stratum without one is not known to hold
    none. It is a plan for the expected case: label, and estimate again. Where a stratum has no label
    yet, it asks for a first hundred there and for nothing else.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    strata = [stratum for stratum in recall.strata if stratum.messages]
    if any(not stratum.labelled for stratum in strata):
        return tuple(
            MoreLabels(stratum.name, 0 if stratum.labelled else min(PILOT, stratum.messages))
            for stratum in strata
        )
    sizes = np.array([stratum.messages for stratum in strata], dtype=np.float64)
    have = np.array([stratum.labelled for stratum in strata], dtype=np.float64)
    weights = _weights(strata)
    allowed = (within / float(norm.ppf(0.5 + recall.confidence / 2))) ** 2

    def labels(step: float) -> Floats:
        return np.clip(weights / step, have, sizes)

    def excess(count: Floats) -> float:
        return float((weights**2 * (1 / count - 1 / sizes)).sum()) - allowed

    wanted = have
    if excess(have) > 0:
        every, none = float((weights / sizes).min()) / 2, float(weights.max())
        wanted = np.ceil(labels(brentq(lambda step: excess(labels(step)), every, none)) - 1e-6)
    return tuple(
        MoreLabels(stratum.name, int(count) - stratum.labelled)
        for stratum, count in zip(strata, wanted, strict=True)
    )


def _weights(strata: Sequence[Stratum]) -> Floats:
    """Return what a stratum adds to the recall's standard error with one label: N·S by the ratio's slope."""
    sizes = np.array([stratum.messages for stratum in strata], dtype=np.float64)
    shares = np.array([(stratum.hits + 0.5) / (stratum.labelled + 1) for stratum in strata])
    effects = np.array([stratum.design_effect for stratum in strata])
    flagged = np.array([stratum.name == FLAGGED for stratum in strata])
    hits = sizes * shares
    found = hits[flagged].sum() / hits.sum()
    slopes = np.where(flagged, 1 - found, found) / hits.sum()
    return np.asarray(slopes * sizes * np.sqrt(shares * (1 - shares) * effects))


def strata_of(flagged: NDArray[np.bool_], scores: Floats) -> Integers:
    """Return each message's stratum (index into `STRATA`) from the scores alone, before any label is seen."""
    places = np.full(len(flagged), STRATA.index(REST))
    if not flagged.all():
        bound = np.quantile(scores[~flagged], 1 - NEAR_SHARE, method="higher")
        places[scores >= bound] = STRATA.index(NEAR)
    places[flagged] = STRATA.index(FLAGGED)
    return places


def design_effect(hits: Floats, threads: Integers) -> float:
    """Return how much wider the threads make the variance of a share, at least 1 (Rao and Scott 1992)."""
    share = float(hits.mean())
    names, members = np.unique(threads, return_inverse=True)
    if len(names) < 2 or share in (0.0, 1.0):
        return 1.0
    residuals = np.bincount(members, weights=hits - share)
    clustered = len(names) / (len(names) - 1) * float((residuals**2).sum()) / len(hits) ** 2
    return max(1.0, clustered / (share * (1 - share) / len(hits)))


def _sizes(strata: Sequence[Stratum], scored: int, draws: int, random: np.random.Generator) -> Integers:
    """Return draws × strata: the sizes as they may be, where they were counted on a sample of the archive."""
    labelled = np.array([stratum.labelled for stratum in strata])
    others = np.array([stratum.messages for stratum in strata]) - labelled
    if scored >= others.sum():
        return np.tile(labelled + others, (draws, 1))
    shares = random.dirichlet(others / others.sum() * scored + 0.5, draws)
    return np.asarray(labelled + np.rint(shares * others.sum()).astype(np.int64))


def _drawn_hits(stratum: Stratum, sizes: Integers, random: np.random.Generator) -> Integers:
    """Return the stratum's hits as they may be: those that were read, and a draw of the others."""
    if not stratum.messages:
        return np.zeros(len(sizes), dtype=np.int64)
    hits = stratum.hits / stratum.design_effect
    misses = (stratum.labelled - stratum.hits) / stratum.design_effect
    lower, upper = (_beta(hits + more, misses + 1 - more, len(sizes), random) for more in (0, 1))
    shares = np.where(random.random(len(sizes)) < 0.5, lower, upper)
    return stratum.hits + random.binomial(sizes - stratum.labelled, shares)


def _beta(one: float, other: float, draws: int, random: np.random.Generator) -> Floats:
    if one == 0 or other == 0:
        return np.full(draws, 0.0 if one == 0 else 1.0)
    return random.beta(one, other, draws)


def _range(value: float, draws: NDArray[np.number], confidence: float) -> Interval:
    if not math.isfinite(value) or not np.isfinite(draws).any():
        return Interval(math.nan, math.nan, math.nan)
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return Interval(value, min(float(low), value), max(float(high), value))
