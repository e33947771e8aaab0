from __future__ import annotations

import numpy as np
import pytest

from serving.client import calibrated
from training.scores import Scores, apply_temperature, fit_temperature, measure


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
