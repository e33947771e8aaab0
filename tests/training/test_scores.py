from __future__ import annotations

import numpy as np
import pytest

from serving.client import calibrated
from training.scores import Scores, apply_temperature, fit_temperature, measure, with_best_thresholds


def scores(*rows: tuple[float, ...], labels: tuple[str, ...] = ("a", "b")) -> Scores:
    return Scores(labels, np.array(rows, dtype=np.float32))


def test_a_label_unknown_to_the_classifier_counts_against_macro_f1() -> None:
    metrics = measure(["a", "b", "new"], scores((0.9, 0.1), (0.2, 0.8), (0.2, 0.8)))

    assert pytest.approx(metrics.accuracy) == 2 / 3
    assert pytest.approx(metrics.macro_f1) == (1 + 2 / 3 + 0) / 3


def test_the_temperature_cools_an_overconfident_classifier() -> None:
    sure = scores(*[(0.999, 0.001)] * 10)
    labels = ["a"] * 7 + ["b"] * 3

    temperature = fit_temperature(labels, sure)

    assert temperature > 1.5
    before, after = measure(labels, sure), measure(labels, apply_temperature(sure, temperature))
    assert after.log_loss < before.log_loss
    assert before.accuracy == after.accuracy


def test_the_temperature_is_one_when_no_label_is_known() -> None:
    assert fit_temperature(["new"], scores((0.5, 0.5))) == 1.0


def test_tempered_probabilities_sum_to_one() -> None:
    tempered = apply_temperature(scores((1.0, 0.0), (0.3, 0.7)), 2.0)

    assert np.allclose(tempered.probabilities.sum(axis=1), 1)


def test_the_gateway_cools_probabilities_as_the_evaluation_does() -> None:
    said = scores((0.98, 0.02), (0.3, 0.7), (1.0, 0.0))

    tempered = apply_temperature(said, 1.7).probabilities

    assert np.abs(tempered - calibrated(said.probabilities, 1.7)).max() < 1e-6


def several(*rows: tuple[float, ...], thresholds: tuple[float, ...] = (0.5, 0.5)) -> Scores:
    return Scores(("a", "b"), np.array(rows, dtype=np.float32), thresholds)


def test_of_sets_the_whole_set_must_be_right_and_each_label_counts_for_itself() -> None:
    metrics = measure(["a|b", "b", "a|new"], several((0.9, 0.8), (0.7, 0.9), (0.9, 0.2)))

    assert pytest.approx(metrics.accuracy) == 1 / 3
    assert pytest.approx(metrics.macro_f1) == (4 / 5 + 1 + 0) / 3
    assert metrics.log_loss < 1


def test_each_label_gets_the_threshold_of_its_best_f1_in_the_middle_of_a_gap() -> None:
    scores = several((0.9, 0.1), (0.3, 0.1), (0.1, 0.1))

    chosen = with_best_thresholds(["a", "a", "none"], scores)

    assert chosen.thresholds == (pytest.approx(0.2), 0.5)
    assert chosen.best() == ["a", "a", "a"]


def test_equally_good_thresholds_are_nearest_to_one_half() -> None:
    scores = several((0.9, 0.0), (0.8, 0.0), (0.4, 0.0), (0.1, 0.0))

    chosen = with_best_thresholds(["a", "b", "a", "b"], scores)  # all but one, or the first alone: 4/5, 2/3

    assert chosen.thresholds is not None
    assert chosen.thresholds[0] == pytest.approx(0.25)


def test_the_temperature_cools_each_label_by_itself_and_leaves_what_is_given() -> None:
    sure = several(*[(0.999, 0.001)] * 10, thresholds=(0.4, 0.3))
    labels = ["a"] * 7 + ["b"] * 3

    temperature = fit_temperature(labels, sure)
    cooled = apply_temperature(sure, temperature)

    assert temperature > 1.5
    assert measure(labels, cooled).log_loss < measure(labels, sure).log_loss
    assert (cooled.given() == sure.given()).all()
    assert cooled.thresholds is not None
    assert sure.thresholds is not None
    assert cooled.thresholds[0] > sure.thresholds[0]


def test_a_temperature_changes_no_answer_however_sure() -> None:
    random = np.random.default_rng(0)
    stated = (1 / (1 + np.exp(-random.normal(0, 6, (2_000, 3))))).astype(np.float32)
    scores = Scores(("a", "b", "c"), stated, (0.995, 0.999, 0.9999))

    for temperature in (0.2, 0.3, 0.5, 2.0, 5.0):
        assert apply_temperature(scores, temperature).best() == scores.best()
