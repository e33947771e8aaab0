"""Challengers into MLflow's registry and back out again: the copy must answer as the original does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.candidate import Candidate
from evaluation.findings import RoundTrip
from evaluation.metrics import Floats
from serving.champion import download_model
from serving.digest import folder_digest

PROBES = 64


@dataclass(frozen=True, slots=True)
class Version:
    """One registered model version."""

    name: str
    version: str
    model_id: str

    @property
    def uri(self) -> str:
        """What MLflow calls it."""
        return f"models:/{self.name}/{self.version}"


def register(candidate: Candidate, name: str) -> Version:
    """Register the model that training logged, once: judging it again finds the same version."""
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    try:
        known = client.search_model_versions(f"name='{name}'")
    except MlflowException:
        known = []
    for version in known:
        if model_id_of(version) == candidate.model_id:
            return Version(name, str(version.version), candidate.model_id)
    made = mlflow.register_model(f"models:/{candidate.model_id}", name)
    return Version(name, str(made.version), candidate.model_id)


def model_id_of(version: Any) -> str:
    """Return the logged model of a version; its own ``model_id`` is None in MLflow 3.17."""
    return str(version.source).rstrip("/").split("/")[-1]


@contextmanager
def restored(version: Version) -> Iterator[Path]:
    """Yield a plain model folder with the registered files and no other, deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="mailroom-") as temporary:
        yield download_model(version.name, version.version, Path(temporary))


def classifier_round_trip(version: Version, folder: Path, texts: Sequence[str]) -> RoundTrip:
    """Ask the registered copy and the folder the same; both are loaded anew."""
    from training.classifier import predict_proba

    probes = _probes(texts)
    here = predict_proba(folder, probes)
    with restored(version) as copy:
        there, digest = predict_proba(copy, probes), folder_digest(copy)
    if here.labels != there.labels:
        return RoundTrip("classifier", version.version, len(probes), 0.0, float("inf"), digest)
    same = np.array(here.best()) == np.array(there.best())
    difference = np.abs(here.probabilities - there.probabilities).max()
    return RoundTrip(
        "classifier", version.version, len(probes), float(same.mean()), float(difference), digest
    )


def embedder_round_trip(version: Version, folder: Path, texts: Sequence[str]) -> RoundTrip:
    """Embed the same texts with the registered copy and the folder."""
    from training.embedder import embed

    probes = _probes(texts)
    here: Floats = np.asarray(embed(folder, probes))
    with restored(version) as copy:
        there: Floats = np.asarray(embed(copy, probes))
        digest = folder_digest(copy)
    same_shape = here.shape == there.shape
    difference = float(np.abs(here - there).max()) if same_shape else float("inf")
    return RoundTrip("embedder", version.version, len(probes), 1.0, difference, digest)


def _probes(texts: Sequence[str]) -> list[str]:
    """Return 64 texts spread over all of them."""
    places = np.unique(np.linspace(0, len(texts) - 1, PROBES).astype(int))
    return [texts[place] for place in places]
