"""The MLflow run of one step: opened before the notebook runs, closed with the executed notebook in it."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.contract import Contract, Kind

EXPERIMENT = "mailroom"
RECORDED: tuple[Kind, ...] = ("parameter", "input", "output")  # what it was told, where artifacts lie
Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the evidence of one step goes; ``run_id`` is empty where no tracking server is set."""

    run_id: str = ""
    ours: bool = False  # Kubeflow's server closes the run that it opened itself


def open_run(contract: Contract, arguments: dict[str, object]) -> Evidence:
    """Open the step's run and make it the one that ``mlflow.start_run()`` in the notebook resumes.

    Kubeflow 2.17 opens a run of its own and names it in ``MLFLOW_RUN_ID``: then that one is used.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return Evidence()
    client = _client()
    tags = {
        "mailroom.step": contract.name,
        "mailroom.pipeline_run": os.environ.get("MAILROOM_PIPELINE_RUN", os.environ.get("KFP_POD_NAME", "")),
        "mailroom.notebook_sha256": contract.digest,
    }
    given = os.environ.get("MLFLOW_RUN_ID", "")
    run_id = given or client.create_run(_experiment(client), run_name=contract.name, tags=tags).info.run_id
    if given:
        for key, value in tags.items():
            client.set_tag(given, key, value)
    for parameter in (item for kind in RECORDED for item in contract.of_kind(kind)):
        # under a prefix: the notebook logs its own parameters, and MLflow refuses a second value for one name
        client.log_param(run_id, f"notebook.{parameter.name}", arguments[parameter.name])
    os.environ["MLFLOW_RUN_ID"] = run_id
    return Evidence(run_id, ours=not given)


def keep(evidence: Evidence, step: str, files: tuple[Path, ...], status: Status, message: str = "") -> None:
    """Store the files, named after the step, with their hashes in the run, and close it.

    Never raises: it runs while a step fails, and must not hide why.
    """
    if not evidence.run_id:
        return
    try:
        client = _client()
        for path in files:
            if path.exists():
                content = path.read_bytes()
                client.log_text(evidence.run_id, content.decode(), f"evidence/{step}{path.suffix}")
                digest = hashlib.sha256(content).hexdigest()
                client.set_tag(evidence.run_id, f"mailroom.sha256.{path.suffix.lstrip('.')}", digest)
        if message:
            client.set_tag(evidence.run_id, "mailroom.error", message)
        if evidence.ours:
            client.set_terminated(evidence.run_id, status=status)
    except Exception as error:
        print(f"the evidence could not be stored in MLflow: {type(error).__name__}", file=sys.stderr)


def _client() -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


def _experiment(client: Any) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    experiment = client.get_experiment_by_name(name)
    return str(experiment.experiment_id if experiment else client.create_experiment(name))
