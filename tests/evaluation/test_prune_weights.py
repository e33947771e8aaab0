"""Weights in MLflow that no release names go; what measured or decided anything stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from made_release import Proposed, write_release

from data import governance
from data.workspace import home, tracking
from pipelines.prune import Plan, plan, prune
from pipelines.prune_weights import PRUNED
from serving.champion import CLASSIFIER, EMBEDDER

pytestmark = pytest.mark.slow  # MLflow's import and its database


@dataclass(frozen=True, slots=True)
class Logged:
    """A model as a training logs it, with its run."""

    model_id: str
    run_id: str

    def register(self, name: str = CLASSIFIER) -> str:
        import mlflow

        return str(mlflow.register_model(f"models:/{self.model_id}", name).version)

    @property
    def files(self) -> list[Path]:
        import mlflow

        found = mlflow.MlflowClient().get_logged_model(self.model_id).artifact_location
        return [path for path in Path(found.removeprefix("file://")).rglob("*") if path.is_file()]

    @property
    def kept(self) -> set[str]:
        """What is left in the run."""
        import mlflow

        found = Path(mlflow.get_run(self.run_id).info.artifact_uri.removeprefix("file://"))
        return {path.relative_to(found).parts[0] for path in found.rglob("*") if path.is_file()}


Log = Callable[..., Logged]


@pytest.fixture
def log(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """Log a model of three bytes, in a run with an adapter, an executed notebook and a figure."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace / 'mlflow.db'}")
    workspace.mkdir()
    tracking()
    for name in (CLASSIFIER, EMBEDDER):
        mlflow.MlflowClient().create_registered_model(name)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"abc")
    client = mlflow.MlflowClient()

    def logged(run_id: str = "") -> Logged:
        with mlflow.start_run(run_id=run_id or None) as run:
            mlflow.log_artifacts(str(weights), "classifier_adapter")
            mlflow.log_text("<p>executed</p>", "evidence/02_train.html")
            mlflow.log_metric("macro_f1", 0.8)
        made = client.create_logged_model(run.info.experiment_id, "model", source_run_id=run.info.run_id)
        client.log_model_artifacts(made.model_id, str(weights))
        client.finalize_logged_model(made.model_id, "READY")
        return Logged(made.model_id, run.info.run_id)

    return logged


def planned(older_than_days: int = 0) -> Plan:
    return plan(older_than_days=older_than_days, keep=1)


def going(found: Plan, *models: Logged) -> list[Logged]:
    ids = {each.model_id for each in found.weights}
    assert len(ids) == len(found.weights) <= len(models)
    return [each for each in models if each.model_id in ids]


def propose(folder: Path, version: str) -> Proposed:
    """Propose a release with this version of the classifier, which the gate has rejected."""
    made = write_release(folder, outcome="reject")
    path = made.evaluation / "gate.json"
    gate: dict[str, Any] = json.loads(path.read_text())
    gate["challenger"]["classifier_version"] = version
    path.write_text(json.dumps(gate))
    made.promote()
    return made


def test_what_nothing_names_goes_and_its_run_stays(log: Log) -> None:
    import mlflow

    unneeded = log()
    version = unneeded.register()
    found = planned()

    (weights,) = (each for each in found.weights if each.model_id == unneeded.model_id)
    assert (3, True) == (weights.size, weights.adapters)
    assert found.frees == sum(each.size for each in found.weights)
    assert () == planned(older_than_days=1).weights
    prune(found, by="officer")

    assert () == planned().weights
    run = mlflow.get_run(unneeded.run_id)
    assert ({"macro_f1": 0.8}, {"evidence"}) == (run.data.metrics, unneeded.kept)
    client = mlflow.MlflowClient()
    assert PRUNED in client.get_model_version(CLASSIFIER, version).tags
    with pytest.raises(mlflow.MlflowException):
        client.get_logged_model(unneeded.model_id)
    assert unneeded.model_id in governance.verified()[-1].event["weights"]


def test_what_a_release_an_alias_a_training_or_somebody_else_names_stays(log: Log) -> None:
    import mlflow

    rejected, aliased, waiting, elsewhere, unneeded = (log() for _ in range(5))
    promoted = log()  # in MLflow's page: the copy of a version names that version, and no model
    mlflow.MlflowClient().copy_model_version(f"models:/{CLASSIFIER}/{promoted.register()}", "production")
    propose(home() / "rejected", rejected.register())
    mlflow.MlflowClient().set_registered_model_alias(CLASSIFIER, "mine", aliased.register())
    elsewhere.register("somebody's own")
    trained = home() / "pipeline" / "run" / "train-classifier" / "classifier"
    trained.mkdir(parents=True)
    written = {"weights_digest": "w", "model_id": waiting.model_id}
    (trained / "training.json").write_text(json.dumps(written))

    found = planned(older_than_days=0)
    models = (rejected, aliased, waiting, elsewhere, promoted, unneeded)
    assert [waiting, unneeded] == going(found, *models), "the folder of what waits goes, too"
    (home() / "classifier").mkdir()
    (home() / "classifier" / "training.json").write_text(json.dumps(written))
    found = planned()
    prune(found)

    assert [unneeded] == going(found, *models)
    needed = (rejected, aliased, waiting, elsewhere, promoted)
    assert all(each.files for each in needed)
    assert all("classifier_adapter" in each.kept for each in needed)


def test_the_adapters_of_a_run_stay_that_trained_what_is_needed_too(log: Log) -> None:
    needed = log()
    other = log(needed.run_id)
    propose(home() / "proposed", needed.register())

    found = planned()
    prune(found)

    assert [other] == going(found, needed, other)
    assert [False] == [each.adapters for each in found.weights if each.model_id == other.model_id]
    assert {"classifier_adapter", "evidence"} == needed.kept


def test_interrupted_it_is_found_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    unneeded = log()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("mlflow.MlflowClient.delete_logged_model", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prune(planned())
    assert [] == unneeded.files
    prune(planned())

    assert () == planned().weights


def test_what_another_workspace_keeps_in_the_same_mlflow_stays(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log()
    assert 1 == len(planned().weights)
    monkeypatch.setenv("MAILROOM_HOME", str(tmp_path / "other"))

    assert () == planned().weights


def test_where_nothing_was_ever_logged_no_database_is_made(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")

    assert () == planned().weights
    assert not (workspace / "mlflow.db").exists()
