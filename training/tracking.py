"""What MLflow is told of a training: which data, recipe, code and packages made a model."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from data.dataset import read_manifest
from data.identity import account, author
from data.rows import rows_digest
from data.workspace import tracking
from training.recipe import Recipe, recipe_digest

REPOSITORY = Path(__file__).parent.parent
Role = Literal["classifier", "embedder", "generator"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a model was made of."""

    recipe: str
    recipe_digest: str
    dataset_digest: str
    rows_digest: str
    seed: int
    commit: str
    lock_digest: str
    device: str


def provenance_of(recipe: Recipe, prepared: Path, seed: int) -> Provenance:
    """Collect the provenance; commit and lock digest are empty outside a checkout."""
    return Provenance(
        recipe=recipe.name,
        recipe_digest=recipe_digest(recipe),
        dataset_digest=read_manifest(prepared).digest,
        rows_digest=rows_digest(prepared),
        seed=seed,
        commit=commit(),
        lock_digest=lock_digest(),
        device=device(),
    )


@contextmanager
def training_run(name: Role, provenance: Provenance, recipe: Recipe) -> Iterator[Any]:
    """Open the MLflow run (the one in MLFLOW_RUN_ID when the bridge set it), tagged and with its parameters.

    Parameters are named ``<name>.<key>``: classifier and embedder may share a run. The recipe is kept
    whole, as the artifact ``<name>_recipe.yaml``: its name and digest alone train nothing again.

    Raises:
        UserError: it is not known who trains.
    """
    import mlflow

    responsible = author()
    tracking()
    with mlflow.start_run(run_name=None if os.environ.get("MLFLOW_RUN_ID") else name) as run:
        tags = {
            "mailroom.recipe": provenance.recipe,
            "mailroom.recipe_digest": provenance.recipe_digest,
            "mailroom.dataset_digest": provenance.dataset_digest,
            "mailroom.rows_digest": provenance.rows_digest,
            "mailroom.seed": str(provenance.seed),
            "mailroom.commit": provenance.commit,
            "mailroom.lock_digest": provenance.lock_digest,
            "mailroom.device": provenance.device,
            # who may not approve what comes of it
            "mailroom.author": responsible,
            "mailroom.account": account(),
            "mailroom.submitter": os.environ.get("MAILROOM_SUBMITTER", ""),
        }
        mlflow.set_tags({key: value for key, value in tags.items() if value})
        content = recipe.model_dump(mode="json", exclude_none=True)
        mlflow.log_params(_flat({name: content[name]}) | {f"{name}.seed": provenance.seed})
        mlflow.log_text(yaml.safe_dump(content, sort_keys=False), recipe_artifact(name))
        yield run


def recipe_artifact(name: Role) -> str:
    """Return what a run calls the recipe that it trained by."""
    return f"{name}_recipe.yaml"


def weights_tag(name: Role) -> str:
    """Return the tag of a run that holds the digest of the weights that came of it."""
    return f"mailroom.{name}_weights"


def dataset_input(prepared: Path, digest: str) -> Any:
    """Return the prepared dataset as MLflow names it: place and digest, no rows."""
    from mlflow.data.dataset_source_registry import resolve_dataset_source
    from mlflow.data.meta_dataset import MetaDataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of MLflow's classes claim file URIs, and both will do
        source = resolve_dataset_source(prepared.as_uri())
    return MetaDataset(source, name="prepared", digest=digest[:36])  # 36 is MLflow's limit


def log_dataset(dataset: Any, context: str) -> None:
    """Name the dataset in the open run, whoever else names it at the same moment.

    MLflow looks whether it knows the dataset, then writes it: of two runs that name a new one at once, the
    later fails, and finds it when it looks again.
    """
    import mlflow

    try:
        mlflow.log_input(dataset, context=context)
    except mlflow.MlflowException:
        mlflow.log_input(dataset, context=context)


def requirements(*packages: str) -> list[str]:
    """Return the installed versions as pins; a build's local part (``+cpu``) exists on no index."""
    return [f"{package}=={importlib.metadata.version(package).split('+')[0]}" for package in packages]


def keep_weights_digest(name: Role, merged: Path) -> str:
    """Return the digest of the weights after writing it into the open run."""
    import mlflow

    digest = weights_digest(merged)
    mlflow.set_tag(weights_tag(name), digest)
    return digest


def weights_digest(model_path: Path) -> str:
    """Return the SHA-256 of a saved model's weights, those of its modules' folders among them."""
    digest = hashlib.sha256()
    for path in sorted(model_path.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def file_digests(model_path: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a saved model's weights, by name."""
    files = sorted(model_path.glob("*.safetensors"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def device() -> str:
    """Return what computes here, as far as results depend on it."""
    import torch

    if torch.cuda.is_available():
        return f"cuda {torch.cuda.get_device_name()}"
    return f"cpu {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def commit() -> str:
    """Return the checkout's commit, with ``-dirty`` behind it where tracked files were changed since.

    An image has no checkout: what it was built from is in MAILROOM_COMMIT.
    """
    if stated := os.environ.get("MAILROOM_COMMIT"):
        return stated
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def lock_digest() -> str:
    """Return the SHA-256 of the lock that this machine installs from."""
    import torch

    path = REPOSITORY / "locks" / ("gpu.txt" if torch.version.cuda else "cpu.txt")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
