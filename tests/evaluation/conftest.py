"""Made-up predictions and findings: known answers for the statistics, something to judge for the gate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_findings import findings_about

from evaluation.findings import Findings
from evaluation.metrics import Predictions, TestSet
from evaluation.rules import Rules, load_rules

LABELS = ("harassment", "insider_information", "ordinary", "spam")


@pytest.fixture(scope="session")
def rules() -> Rules:
    return load_rules()


@pytest.fixture(scope="session")
def test_set() -> TestSet:
    """600 messages in 300 threads, most of them ordinary."""
    random = np.random.default_rng(1)
    truth = random.choice(4, 600, p=[0.1, 0.1, 0.65, 0.15])
    return TestSet(tuple(f"m{row}" for row in range(600)), np.arange(600) // 2, LABELS, truth)


@pytest.fixture(scope="session")
def answer(test_set: TestSet) -> Callable[..., Predictions]:
    """Make a model that is right with the given chance."""

    def make(name: str, right: float, seed: int = 0) -> Predictions:
        random = np.random.default_rng(seed)
        wrong = random.integers(0, 4, len(test_set))
        predicted = np.where(random.random(len(test_set)) < right, test_set.truth, wrong)
        probabilities = np.full((len(test_set), 4), (1 - right) / 3)
        probabilities[np.arange(len(test_set)), predicted] = right
        return Predictions(name, predicted, probabilities, 1 - probabilities[:, 2])

    return make


@pytest.fixture(scope="session")
def good_findings(test_set: TestSet, answer: Callable[..., Predictions], rules: Rules) -> Findings:
    """Findings of a challenger that deserves promotion as the first model."""
    return findings_about(
        test_set, answer("challenger", 0.93), (answer("lexicon", 0.4, 1), answer("TF-IDF", 0.85, 2)), rules
    )
