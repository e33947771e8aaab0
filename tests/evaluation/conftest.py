"""Made-up predictions and findings: known answers for the statistics, something to judge for the gate."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from made_findings import LABELS, findings_about, made_answer, made_test_set
from made_release import ACCOUNT, AUTHOR, Proposed, write_release

from data.label_sets import given
from data.workspace import home, tracking
from evaluation.baselines import from_probabilities
from evaluation.findings import Findings
from evaluation.metrics import Predictions, TestSet
from evaluation.rules import Rules, load_rules
from serving.champion import CLASSIFIER, EMBEDDER


@pytest.fixture(scope="session")
def rules() -> Rules:
    return load_rules()


@pytest.fixture(scope="session")
def test_set() -> TestSet:
    """600 messages in 300 threads, most of them ordinary."""
    return made_test_set()


@pytest.fixture(scope="session")
def answer(test_set: TestSet) -> Callable[..., Predictions]:
    """Make a model that is right with the given chance."""

    return partial(made_answer, test_set)


@pytest.fixture(scope="session")
def set_of_sets() -> TestSet:
    """400 messages in 200 threads, some with two classes."""
    random = np.random.default_rng(2)
    harmful = random.random((400, 3)) < [0.15, 0.12, 0.2]
    truth = np.column_stack([harmful[:, :2], ~harmful.any(axis=1), harmful[:, 2]])
    return TestSet(tuple(f"m{row}" for row in range(400)), np.arange(400) // 2, LABELS, truth)


@pytest.fixture(scope="session")
def answer_sets(set_of_sets: TestSet) -> Callable[..., Predictions]:
    """Make a model that says of each class the truth with the given chance; it gives one class or more."""

    def make(name: str, right: float, seed: int = 0) -> Predictions:
        random = np.random.default_rng(seed)
        agrees = random.random((400, 4)) < right
        stated = np.where(agrees == set_of_sets.applies, 0.5 + random.random((400, 4)) / 2, 0.3)
        return from_probabilities(
            name, set_of_sets, LABELS, stated, ("ordinary",), several=given(stated, (0.5,) * 4)
        )

    return make


@pytest.fixture(scope="session")
def good_findings(test_set: TestSet, answer: Callable[..., Predictions], rules: Rules) -> Findings:
    """Findings of a challenger that deserves promotion as the first model."""
    return findings_about(
        test_set, answer("challenger", 0.93), (answer("lexicon", 0.4, 1), answer("TF-IDF", 0.85, 2)), rules
    )


@pytest.fixture
def log_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session_workspace: Path) -> Path:
    """A decision log and keys of its own; MLflow's database is the session's, with no champion in it."""
    import mlflow

    monkeypatch.setenv("MAILROOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAILROOM_KEYS", str(tmp_path / "keys"))
    monkeypatch.delenv("MAILROOM_REVIEWER", raising=False)
    assert os.environ["MLFLOW_TRACKING_URI"].startswith(f"sqlite:///{session_workspace}")
    tracking()
    client = mlflow.MlflowClient()
    for name in (CLASSIFIER, EMBEDDER):
        try:
            client.get_registered_model(name)
        except mlflow.MlflowException:
            client.create_registered_model(name)
        client.delete_registered_model_alias(name, "champion")
    return tmp_path


@pytest.fixture
def propose(log_home: Path) -> Callable[..., Proposed]:
    """Make a release that can be proposed, decided and deployed."""

    def make(
        name: str = "first", outcome: str = "promote", author: str = AUTHOR, account: str = ACCOUNT
    ) -> Proposed:
        return write_release(home() / name, outcome=outcome, author=author, account=account)

    return make
