"""Made-up predictions and findings: known answers for the statistics, something to judge for the gate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evaluation.answers import AnswerMetric, Answers
from evaluation.drift import Drift, Drifted
from evaluation.findings import Findings, Provenance, RoundTrip
from evaluation.leakage import Leakage
from evaluation.measure import curves_of
from evaluation.metrics import Interval, Predictions, TestSet, assess, calibration
from evaluation.paired import compare
from evaluation.retrieval import measure_retrieval
from evaluation.rules import Rules, load_rules
from evaluation.slices import measure_slices
from evaluation.workload import measure_workload

LABELS = ("harassment", "insider_information", "ordinary", "spam")
OTHER = len(LABELS)


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
    return judge_made_up(test_set, answer("challenger", 0.93), (answer("lexicon", 0.4, 1), answer("TF-IDF", 0.85, 2)), rules)


def judge_made_up(
    test: TestSet, challenger: Predictions, others: tuple[Predictions, ...], rules: Rules
) -> Findings:
    assert challenger.probabilities is not None
    ranking = [[f"m{row}", "x", "y"] if row % 3 else ["x", f"m{row}"] for row in range(30)]
    channels = tuple("chat" if row % 3 else "email" for row in range(len(test)))
    names = {other.name for other in others}
    return Findings(
        labels=test.labels,
        messages=len(test),
        threads=test.thread_count,
        scored=challenger.complete,
        challenger=assess(test, challenger, draws=300),
        others=tuple(assess(test, other, draws=300) for other in others),
        comparisons=tuple(compare(test, challenger, other, draws=300) for other in others),
        has_champion="champion" in names,
        slices=measure_slices(test, challenger, others[-1], {"channel": channels}, draws=300),
        slice_reference=others[-1].name,
        calibration=calibration(test, challenger.probabilities, draws=300),
        curves=curves_of(test, challenger, rules),
        workload=measure_workload(test, (challenger, *others), "ordinary", minutes_per_alert=2, draws=300),
        questions=30,
        retrieval=measure_retrieval(
            {"dense": ranking, "bm25": ranking, "hybrid": ranking}, [[f"m{row}"] for row in range(30)], draws=300
        ),
        answers=Answers(30, (AnswerMetric("ROUGE-L", Interval(0.5, 0.4, 0.6), 30),)),
        drift=Drift("the challenger's own training data", 400, 400, (Drifted("words", "Wasserstein", 0.08),), 0.54),
        leakage=Leakage(0, 0, 0, len(test), 2000, "2026-05-01", "2026-04-20"),
        round_trips=(
            RoundTrip("classifier", "1", 64, 1.0, 1e-7),
            RoundTrip("embedder", "1", 64, 1.0, 2e-7),
        ),
        adapter_megabytes=3.1,
        provenance=Provenance("d" * 64, "laptop", 7, "e" * 64, {"classifier": "d" * 64, "index": "d" * 64}),
        notes=("The archive is made up.",),
    )
