"""The recall over an archive: sums done by hand, plans against a search, and the coverage of the interval."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from evaluation.archive_recall import (
    FLAGGED,
    NEAR,
    PILOT,
    REST,
    STRATA,
    Stratum,
    design_effect,
    estimate_recall,
    labels_for,
    strata_of,
)
from evaluation.archive_sample import unlike
from tests.benchmarks.archive_recall import WORLDS, coverage, coverage_of_threads

SAMPLE = (Stratum(FLAGGED, 400, 100, 50), Stratum(NEAR, 1000, 100, 5), Stratum(REST, 20_000, 1000, 2))


def test_every_label_stands_for_as_many_messages_as_its_stratum_has_for_each() -> None:
    found = estimate_recall(SAMPLE)

    assert found.hits.value == pytest.approx(200 + 50 + 40)
    assert found.missed.value == pytest.approx(90)
    assert found.recall.value == pytest.approx(200 / 290)
    assert found.recall.low < 200 / 290 < found.recall.high


def test_when_all_is_labelled_nothing_is_uncertain() -> None:
    found = estimate_recall([Stratum(FLAGGED, 50, 50, 40), Stratum(REST, 100, 100, 10)])

    assert (0.8, 0.8, 0.8) == pytest.approx((found.recall.value, found.recall.low, found.recall.high))


def test_one_stratum_gives_the_mid_p_interval() -> None:
    """Found by solving the two mid-P equations for 3 hits of 200, in an archive too large to matter."""
    from scipy.optimize import brentq
    from scipy.stats import binom

    low, high = (
        brentq(lambda p, tail=tail: binom.cdf(2, 200, p) + binom.pmf(3, 200, p) / 2 - tail, 1e-6, 0.2)
        for tail in (0.975, 0.025)
    )
    missed = estimate_recall(
        [Stratum(FLAGGED, 10, 10, 10), Stratum(REST, 10_000_000, 200, 3)], draws=200_000
    ).missed

    assert [low, high] == pytest.approx([missed.low / 1e7, missed.high / 1e7], rel=0.03)


def test_no_hit_in_the_rest_is_no_proof_that_it_holds_none() -> None:
    found = estimate_recall([Stratum(FLAGGED, 400, 200, 100), Stratum(REST, 20_000, 300, 0)])

    assert (1.0, 1.0) == (found.recall.value, found.recall.high)
    assert found.recall.low < 200 / (200 + 20_000 * 0.9 / 300), "three hundred blanks leave a hundredth open"


def test_a_stratum_without_labels_leaves_the_recall_unknown() -> None:
    found = estimate_recall([Stratum(FLAGGED, 400, 100, 50), Stratum(REST, 20_000, 0, 0)])

    assert not found.recall.known
    assert [0, PILOT] == [each.more for each in labels_for(found, 0.05)]


def test_without_a_hit_there_is_no_recall() -> None:
    found = estimate_recall([Stratum(FLAGGED, 40, 10, 0), Stratum(REST, 100, 50, 0)])

    assert math.isnan(found.recall.value)


def test_sizes_counted_on_a_sample_widen_the_interval() -> None:
    counted = estimate_recall(SAMPLE).recall
    guessed = estimate_recall(SAMPLE, scored=500).recall

    assert guessed.high - guessed.low > 1.1 * (counted.high - counted.low)


def test_strata_follow_from_the_scores() -> None:
    scores = np.array([0.99, 0.95, *np.linspace(0, 0.9, 20)])
    flagged = np.array([True, True] + [False] * 20)

    places = strata_of(flagged, scores)

    assert [2, 2, 18] == [int((places == place).sum()) for place in range(len(STRATA))]
    assert [1, 1] == places[-2:].tolist()


def test_threads_that_agree_count_as_one_label_each() -> None:
    hits = np.repeat([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 5)

    assert design_effect(hits, np.repeat(np.arange(8), 5)) == pytest.approx(5 * 8 / 7)
    assert design_effect(hits, np.arange(40)) == pytest.approx(40 / 39)
    assert design_effect(np.zeros(10), np.arange(10) // 2) == 1


def test_the_plan_is_the_cheapest_that_a_search_finds() -> None:
    strata = (Stratum(FLAGGED, 40, 8, 5), Stratum(NEAR, 30, 8, 2), Stratum(REST, 60, 10, 1))
    within = 0.09

    plan = labels_for(estimate_recall(strata), within)

    cheapest = min(
        sum(extra)
        for extra in itertools.product(range(33), range(23), range(51))
        if _half_width(strata, extra) <= within
    )
    planned = tuple(each.more for each in plan)
    assert _half_width(strata, planned) <= within
    assert 0 <= sum(planned) - cheapest <= len(strata), "rounding up costs a label a stratum at most"


def _half_width(strata: tuple[Stratum, ...], extra: tuple[int, ...]) -> float:
    """The normal half-width of the recall by the textbook's formula for flagged against others."""
    shares = [(each.hits + 0.5) / (each.labelled + 1) for each in strata]
    found, *missed = [each.messages * share for each, share in zip(strata, shares, strict=True)]
    total = found + sum(missed)
    slopes = [sum(missed) / total**2] + [found / total**2] * len(missed)
    variance = 0.0
    for each, share, more, slope in zip(strata, shares, extra, slopes, strict=True):
        labels = each.labelled + more
        variance += (slope * each.messages) ** 2 * share * (1 - share) / labels * (1 - labels / each.messages)
    return 1.96 * math.sqrt(variance)


def test_the_planned_labels_bring_the_interval_to_the_width_asked_for() -> None:
    plan = {each.stratum: each.more for each in labels_for(estimate_recall(SAMPLE), 0.05)}
    after = [
        Stratum(
            each.name,
            each.messages,
            labels := each.labelled + plan[each.name],
            round(labels * (each.hits + 0.5) / (each.labelled + 1)),
        )
        for each in SAMPLE
    ]

    found = estimate_recall(after).recall

    assert (found.high - found.low) / 2 == pytest.approx(0.05, rel=0.15)


def test_enough_labels_are_enough() -> None:
    assert [0, 0, 0] == [each.more for each in labels_for(estimate_recall(SAMPLE), 0.5)]


def test_labels_that_score_unlike_the_others_are_named() -> None:
    random = np.random.default_rng(1)
    scores, others = random.random(200), random.random(300)
    where, elsewhere = np.repeat([0, 2], 100), np.repeat([0, 2], 150)

    assert unlike(where, scores, elsewhere, others) == ()
    assert unlike(where, np.where(where == 2, scores**4, scores), elsewhere, others) == (REST,)


def test_the_interval_holds_the_true_recall_as_often_as_it_says() -> None:
    """The full table: .venv/bin/python -m tests.benchmarks.archive_recall"""
    assert 0.93 <= coverage(WORLDS["rare hits"], 300).covered <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("world", sorted(WORLDS))
def test_the_interval_holds_in_every_world(world: str) -> None:
    chance = 2 * (0.95 * 0.05 / 600) ** 0.5  # two standard errors of the count
    assert abs(coverage(WORLDS[world], 600).covered - 0.95) <= 0.02 + chance


@pytest.mark.slow
def test_the_interval_holds_for_labels_that_come_by_thread() -> None:
    assert 0.92 <= coverage_of_threads(400, labelled=0.15).covered <= 0.97
    assert coverage_of_threads(400, labelled=0.15, by_thread=False).covered < 0.91
