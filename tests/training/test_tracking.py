"""What MLflow is told: also where two runs tell it the same at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from data.workspace import tracking
from training.tracking import dataset_input, log_dataset


def test_a_dataset_that_another_run_names_at_the_same_moment_is_named_by_both(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run comes between the look and the write, as trials of a search did that ran side by side."""
    import mlflow
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    tracking()
    dataset = dataset_input(tmp_path, "digest")
    write, met = SqlAlchemyStore.log_inputs, threading.Event()

    def overtaken(store: SqlAlchemyStore, *args: object, **more: object) -> object:
        if not met.is_set():
            met.set()
            with mlflow.start_run(nested=True):
                mlflow.log_input(dataset, context="train")
            raise mlflow.MlflowException("UNIQUE constraint failed: datasets")
        return write(store, *args, **more)

    monkeypatch.setattr(SqlAlchemyStore, "log_inputs", overtaken)
    with mlflow.start_run() as run:
        log_dataset(dataset, "train")

    (named,) = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert ("prepared", "digest") == (named.dataset.name, named.dataset.digest)
