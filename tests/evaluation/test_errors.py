"""Which errors a reviewer is shown first."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from evaluation.errors import LISTED, Errors, worst_errors
from evaluation.metrics import Predictions, TestSet

LABELS = ("harassment", "ordinary")


def listed(truth: list[int], said: list[int], sure: list[float]) -> Errors | None:
    test = TestSet(
        tuple(f"m{row}" for row in range(len(truth))), np.arange(len(truth)), LABELS, np.array(truth)
    )
    probabilities = np.full((len(truth), 2), np.nan)
    probabilities[np.arange(len(truth)), np.minimum(said, 1)] = sure
    probabilities[np.arange(len(truth)), 1 - np.minimum(said, 1)] = 1 - np.array(sure)
    return worst_errors(
        test,
        Predictions("challenger", np.array(said), probabilities),
        {"harassment"},
        channels=["email"] * len(truth),
        times=[datetime(2026, 4, 3, tzinfo=UTC), *[None] * (len(truth) - 1)],
    )


def test_missed_critical_classes_come_first_and_the_surest_of_them_before_others() -> None:
    errors = listed([0, 0, 1, 1, 1], [1, 1, 0, 0, 1], [0.6, 0.9, 0.99, 0.7, 0.8])

    assert errors is not None
    assert ["m1", "m0", "m2", "m3"] == [error.message_id for error in errors.worst]
    assert (4, 2) == (errors.wrong, errors.missed_critical)
    assert ("harassment", "ordinary", 0.9, True) == (
        errors.worst[0].label,
        errors.worst[0].predicted,
        errors.worst[0].confidence,
        errors.worst[0].critical,
    )
    assert ("2026-04", "undated") == (errors.worst[1].month, errors.worst[0].month)


def test_neither_kind_of_error_crowds_the_other_out() -> None:
    many = 3 * LISTED
    errors = listed([0] * many + [1] * many, [1] * many + [0] * many, [0.9] * 2 * many)

    assert errors is not None
    assert (LISTED, LISTED // 2) == (len(errors.worst), sum(error.critical for error in errors.worst))


def test_a_label_that_the_test_has_not_is_an_error_too() -> None:
    errors = listed([1], [2], [0.5])

    assert errors is not None
    assert ["another label"] == [error.predicted for error in errors.worst]
