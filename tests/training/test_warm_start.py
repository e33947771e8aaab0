from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from training.targets import class_weights, positive_weights
from training.warm_start import fit_head, fit_heads, install_head, pass_through


@pytest.mark.parametrize("classes", [2, 4])
def test_the_head_gives_the_probabilities_of_the_logistic_regression(classes: int) -> None:
    vectors = np.random.default_rng(0).normal(2.0, 0.5, (24, 6)).astype(np.float32)
    targets = [position % classes for position in range(24)]
    dense, output = torch.nn.Linear(6, 6), torch.nn.Linear(6, classes)

    pass_through(dense, 0.001)
    install_head(output, fit_head(vectors, targets, classes, 1.0), 0.001)
    with torch.inference_mode():
        probabilities = output(dense(torch.from_numpy(vectors)).tanh()).softmax(dim=-1).numpy()

    scaled = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-6)
    reference = LogisticRegression(C=1.0, class_weight="balanced", max_iter=300, tol=1e-3).fit(
        scaled, targets
    )
    assert np.abs(reference.predict_proba(scaled) - probabilities).max() < 2e-3


def test_class_weights_lift_rare_classes_and_average_to_one() -> None:
    targets = [0] * 90 + [1] * 10

    for mode, ratio in (("none", 1.0), ("softened", 3.0), ("balanced", 9.0)):
        weights = class_weights(targets, 2, mode)

        assert ratio == pytest.approx(weights[1] / weights[0], rel=1e-5)
        assert pytest.approx(np.mean(weights[targets]), rel=1e-5) == 1.0


def test_each_head_gives_the_probabilities_of_its_own_logistic_regression() -> None:
    vectors = np.random.default_rng(0).normal(2.0, 0.5, (24, 6)).astype(np.float32)
    applies = np.column_stack([vectors[:, 0] > 2, vectors[:, 1] > 2.2, np.ones(24, bool), np.zeros(24, bool)])

    head = fit_heads(vectors, applies, 1.0)

    said = 1 / (1 + np.exp(-(vectors @ head.weight.T + head.bias)))
    scaled = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-6)
    for place in (0, 1):
        reference = LogisticRegression(C=1.0, class_weight="balanced", max_iter=300, tol=1e-3)
        expected = reference.fit(scaled, applies[:, place]).predict_proba(scaled)[:, 1]
        assert np.abs(expected - said[:, place]).max() < 1e-4
    assert said[:, 2] == pytest.approx(1 - 0.5 / 24)
    assert said[:, 3] == pytest.approx(0.5 / 24)


def test_positive_weights_lift_rare_classes() -> None:
    applies = np.column_stack([np.arange(100) < 10, np.arange(100) < 50])

    for mode, rare in (("none", 1.0), ("softened", 3.0), ("balanced", 9.0)):
        assert positive_weights(applies, mode).tolist() == pytest.approx([rare, 1.0])
