from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from training.warm_start import class_weights, fit_head, install_head, pass_through


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
