"""A release knows who trained it, also where a cluster did."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.identity import account
from data.workspace import UserError
from evaluation.record import Trainers, trainers_of
from training.recipe import load_recipe
from training.tracking import Provenance, training_run

pytestmark = pytest.mark.slow  # MLflow's import and its database


def train() -> str:
    provenance = Provenance("smoke", "", "", "", 7, "", "", "cpu")
    with training_run("classifier", provenance, load_recipe("smoke")) as run:
        return str(run.info.run_id)


def test_who_submitted_a_run_trained_what_comes_of_it(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("MAILROOM_AUTHOR", "ada")
    monkeypatch.setenv("MAILROOM_SUBMITTER", "lovelace")

    run_id = train()

    assert Trainers(names=("ada",), accounts=(account(), "lovelace")) == trainers_of([run_id, run_id])


def test_a_pod_in_which_nobody_is_named_trains_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("MAILROOM_AUTHOR", raising=False)

    with pytest.raises(UserError, match="no author is named"):
        train()
