"""What MLflow is told of a training: which data, recipe, code and packages made a model."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.identity import account
from data.workspace import tracking
from training.recipe import Recipe, recipe_digest

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a model was made of."""

    recipe: str
    recipe_digest: str
    dataset_digest: str
    seed: int
    commit: str
    lock_digest: str


def provenance_of(recipe: Recipe, dataset_digest: str, seed: int) -> Provenance:
    """Collect the provenance; commit and lock digest are empty outside a checkout."""
    return Provenance(
        recipe=recipe.name,
        recipe_digest=recipe_digest(recipe),
        dataset_digest=dataset_digest,
        seed=seed,
        commit=_commit(),
        lock_digest=_lock_digest(),
    )


@contextmanager
def training_run(name: str, provenance: Provenance, parameters: Mapping[str, Any]) -> Iterator[Any]:
    """Open the MLflow run (the one in MLFLOW_RUN_ID when the bridge set it), tagged and with its parameters.

    Parameters are named ``<name>.<key>``: classifier and embedder may share a run.
    """
    import mlflow

    tracking()
    with mlflow.start_run(run_name=None if os.environ.get("MLFLOW_RUN_ID") else name) as run:
        tags = {
            "mailroom.recipe": provenance.recipe,
            "mailroom.recipe_digest": provenance.recipe_digest,
            "mailroom.dataset_digest": provenance.dataset_digest,
            "mailroom.seed": str(provenance.seed),
            "mailroom.commit": provenance.commit,
            "mailroom.lock_digest": provenance.lock_digest,
            # who may not approve what comes of it
            "mailroom.author": os.environ.get("MAILROOM_AUTHOR") or account(),
            "mailroom.account": account(),
        }
        mlflow.set_tags({key: value for key, value in tags.items() if value})
        mlflow.log_params(_flat({name: dict(parameters)}) | {f"{name}.seed": provenance.seed})
        yield run


def dataset_input(prepared: Path, digest: str) -> Any:
    """Return the prepared dataset as MLflow names it: place and digest, no rows."""
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of MLflow's classes claim file URIs, and both will do
        source = resolve_dataset_source(prepared.as_uri())
    return MetaDataset(source, name="prepared", digest=digest[:36])  # 36 is MLflow's limit


def requirements(*packages: str) -> list[str]:
    """Return the installed versions as pins; a build's local part (``+cpu``) exists on no index."""
    return [f"{package}=={importlib.metadata.version(package).split('+')[0]}" for package in packages]


def weights_digest(model_path: Path) -> str:
    """Return the SHA-256 of a saved model's weights."""
    digest = hashlib.sha256()
    for path in sorted(model_path.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), "rev-parse", "--verify", "--quiet", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _lock_digest() -> str:
    import torch

    path = REPOSITORY / "locks" / ("gpu.txt" if torch.version.cuda else "cpu.txt")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
