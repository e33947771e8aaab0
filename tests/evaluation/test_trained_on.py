"""Who erases is told which models were made of what is erased, the generator's adapter among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.workspace import tracking
from evaluation.trained_on import TAG, models_trained_on


@pytest.mark.slow
def test_names_the_run_and_where_the_adapter_lies(workspace: Path) -> None:
    import mlflow

    tracking()
    with mlflow.start_run(tags={TAG: "d" * 64}) as run:
        pass
    with mlflow.start_run(tags={TAG: "e" * 64}) as other:
        pass
    kept = {"mine": run, "another": other}
    for name, made in kept.items():
        folder = workspace / "adapters" / name
        folder.mkdir(parents=True)
        (folder / "origin.json").write_text(json.dumps({"run": made.info.run_id}))
    served = workspace / "bundles" / "live" / "generator_adapter"
    served.mkdir(parents=True)
    (served / "origin.json").write_text(json.dumps({"run": run.info.run_id}))

    (found,) = models_trained_on({"d" * 64})

    assert run.info.run_id == found.run_id
    assert all(str(each) in str(found) for each in (workspace / "adapters" / "mine", served))
    assert "another" not in str(found)
