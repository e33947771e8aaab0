"""Agreement beyond chance equals the published figures, and says how sure it is."""

from __future__ import annotations

import math

import pytest
from sklearn.metrics import cohen_kappa_score

from data.review import Review
from evaluation.agreement import Agreement, measure_agreement

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", examples A and B
BINARY = ("0100000010", "1110010000", 0.095)
NAMES = ("aabbdcccedda", "babbbcccedd" + "d", 0.692)


def reviews(*said: str, reviewers: str = "ab") -> list[Review]:
    return [
        Review(str(number), tuple(zip(reviewers, labels, strict=False)), (), "")
        for number, labels in enumerate(zip(*said, strict=True))
    ]


def measured(found: list[Review]) -> Agreement:
    agreement = measure_agreement(found)
    assert agreement is not None
    return agreement


@pytest.mark.parametrize(("one", "other", "published"), [BINARY, NAMES])
def test_alpha_is_the_published_one(one: str, other: str, published: float) -> None:
    pairs = reviews(one, other)
    changing = [Review("x", (("c", pairs[0].first[0][1]), pairs[0].first[1]), (), ""), *pairs[1:]]

    agreement = measured(changing)

    assert "Krippendorff's alpha" == agreement.name
    assert published == pytest.approx(agreement.value.value, abs=5e-4)


def test_kappa_of_two_reviewers_is_that_of_scikit_learn() -> None:
    agreement = measured(reviews(NAMES[0], NAMES[1]))

    assert "Cohen's kappa" == agreement.name
    assert cohen_kappa_score(list(NAMES[0]), list(NAMES[1])) == pytest.approx(agreement.value.value)
    assert agreement.value.low < agreement.value.value < agreement.value.high
    assert (12, 9, 2) == (agreement.messages, agreement.agreed, agreement.reviewers)


def test_more_messages_make_the_interval_narrower() -> None:
    few, many = (measured(reviews(NAMES[0] * times, NAMES[1] * times)).value for times in (2, 20))

    assert many.high - many.low < (few.high - few.low) / 2


def test_the_third_label_of_a_dispute_does_not_count() -> None:
    twice = reviews(NAMES[0], NAMES[1])
    disputed = [Review(each.message_id, (*each.first, ("c", "a")), (), "") for each in twice]

    assert measured(twice) == measured(disputed)


def test_one_label_in_all_tells_nothing_and_single_reviews_are_none() -> None:
    assert math.isnan(measured(reviews("aaa", "aaa")).value.value)
    assert "Cohen's kappa cannot be told" in str(measured(reviews("aaa", "aaa")))
    assert measure_agreement(reviews("aaa")) is None
