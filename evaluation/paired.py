"""Challenger against another model on the same messages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.metrics import Interval, Predictions, TestSet, counts, interval, macro_f1, resample, right


@dataclass(frozen=True, slots=True)
class ClassDifference:
    """How much more of one class the challenger finds (negative: less)."""

    label: str
    support: int
    recall: Interval
    p_value: float  # exact McNemar test on the messages of this class
    p_holm: float  # the same, corrected for the number of classes


@dataclass(frozen=True, slots=True)
class Comparison:
    """The challenger minus the other model, on the same draws of threads."""

    other: str
    macro_f1: Interval
    only_challenger_right: int
    only_other_right: int
    p_value: float  # exact McNemar test on all messages
    recalls: tuple[ClassDifference, ...]
    accuracy: Interval | None = None  # of whole answers: a label too many costs no class its recall


def compare(
    test: TestSet,
    challenger: Predictions,
    other: Predictions,
    *,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> Comparison:
    """Return the paired differences; both models must have answered the same messages."""
    classes = len(test.labels)
    sums = np.hstack([counts(test, challenger), counts(test, other)])
    cells = sums.shape[1] // 2
    drawn, total = resample(sums, draws=draws, seed=seed), sums.sum(axis=0)
    difference = macro_f1(total[:cells], classes) - macro_f1(total[cells:], classes)
    differences = macro_f1(drawn[:, :cells], classes) - macro_f1(drawn[:, cells:], classes)
    with np.errstate(invalid="ignore"):
        accuracies = (drawn[:, cells - 2] - drawn[:, -2]) / drawn[:, -1]
    challenger_right, other_right = right(test, challenger), right(test, other)
    applies, found, other_found = test.applies, challenger.given(test), other.given(test)
    per_class, p_values = [], []
    for code, label in enumerate(test.labels):
        own = applies[:, code]
        with np.errstate(invalid="ignore"):
            gains = (drawn[:, code] - drawn[:, cells + code]) / drawn[:, classes + code]
        gain = float(found[own, code].mean() - other_found[own, code].mean())
        per_class.append((label, int(own.sum()), interval(gain, gains, confidence)))
        p_values.append(mcnemar(found[own, code], other_found[own, code]))
    return Comparison(
        other.name,
        interval(float(difference), differences, confidence),
        int((challenger_right & ~other_right).sum()),
        int((~challenger_right & other_right).sum()),
        mcnemar(challenger_right, other_right),
        tuple(
            ClassDifference(*facts, p_value, p_holm)
            for facts, p_value, p_holm in zip(per_class, p_values, holm(p_values), strict=True)
        ),
        interval(float((total[cells - 2] - total[-2]) / total[-1]), accuracies, confidence),
    )


def mcnemar(one_right: np.ndarray, other_right: np.ndarray) -> float:
    """Return the two-sided exact p-value that both are equally often right where they differ."""
    from scipy.stats import binomtest

    only_one = int((one_right & ~other_right).sum())
    only_other = int((~one_right & other_right).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other, 0.5).pvalue)


def holm(p_values: list[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979), in the same order."""
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    corrected, floor = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = floor
    return corrected
