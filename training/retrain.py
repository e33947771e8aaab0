"""Train once more: in a fresh process, with an MLflow store of its own that is thrown away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from training.tracking import Role

LOG = "retrain.log"


def retrain(
    role: Role, prepared: Path, recipe: Path, *, seed: int, scratch: Path, environment: Mapping[str, str]
) -> Path:
    """Return the folder below ``scratch`` of a model trained in a fresh process; nothing is registered.

    Raises:
        RuntimeError: the training failed; the message has the last line that it printed.
    """
    target, log = scratch / role, scratch / LOG
    arguments = [role, str(prepared), str(target), str(recipe), str(seed)]
    given = {name: value for name, value in os.environ.items() if name != "MLFLOW_RUN_ID"}
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{scratch / 'mlflow.db'}"}
    with log.open("w") as printed:
        done = subprocess.run(
            [sys.executable, "-m", "training.retrain", *arguments],
            env={**environment, **given, **store},
            stdout=printed,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        said = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"training the {role} again ended with {done.returncode}: {''.join(said)}")
    return target


def main() -> None:
    """Train as the command line says."""
    import mlflow

    role, prepared, target, recipe, seed = sys.argv[1:]
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    mlflow.create_experiment("mailroom", (Path(target).parent / "mlartifacts").as_uri())
    if role == "classifier":
        from training.classifier import train_classifier

        train_classifier(prepared, target, recipe=recipe, seed=int(seed))
    else:
        from training.embedder import train_embedder

        train_embedder(prepared, target, recipe=recipe, seed=int(seed))


if __name__ == "__main__":
    main()
