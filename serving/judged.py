"""Whether what was judged is still there: the evidence, and the registered weights it speaks of."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from data.workspace import UserError, tracking
from serving.digest import file_digest, folder_digest

RULES = "gate.yaml"
GATE = "gate.json"
COPIES = {"classifier": "classifier copy", "embedder": "embedder copy"}  # digests of the registered copies


class Judged(Protocol):
    """What a release says of itself."""

    @property
    def id(self) -> str: ...
    @property
    def classifier_version(self) -> str: ...
    @property
    def embedder_version(self) -> str: ...
    @property
    def evaluation(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def evidence(self) -> Mapping[str, str]: ...
    @property
    def digests(self) -> Mapping[str, str]: ...


def check_evidence(release: Judged) -> None:
    """Compare the evidence with its hashes, on disk and where reviewers read it.

    Raises:
        UserError: a file is missing, was changed, or contradicts the release.
    """
    for problem in evidence_problems(release):
        raise UserError(f"{problem}; evaluate again")


def evidence_problems(release: Judged) -> tuple[str, ...]:
    """Return what is wrong with gate.json, report, predictions and rules; nothing is good."""
    try:
        with _shown_evidence(release) as shown:
            folders = {"in MLflow": shown}
            if _still_there(release):
                folders[f"in {release.evaluation}"] = Path(release.evaluation)
            return (
                *(
                    f"{name} of release {release.id} {place} is not what the gate wrote"
                    for place, folder in folders.items()
                    for name, digest in release.evidence.items()
                    if not (folder / name).exists() or file_digest(folder / name) != digest
                ),
                *_contradictions(release, shown),
            )
    except UserError as error:
        return (str(error),)


def read_gate(release: Judged) -> dict[str, Any]:
    """Return gate.json as the gate wrote it: from the folder, or from MLflow when that holds a later one.

    Raises:
        UserError: it is gone, or was changed.
    """
    if _still_there(release):
        return _checked_gate(release, Path(release.evaluation))
    with _shown_evidence(release) as shown:
        return _checked_gate(release, shown)


def copy_problem(release: Judged, model: str, folder: Path) -> str:
    """Return whether a registered copy, in a plain folder, is another than was judged; "" is good."""
    judged, version = release.digests.get(COPIES[model], ""), getattr(release, f"{model}_version")
    if judged and folder_digest(folder) == judged:
        return ""
    was = "is not what was judged" if judged else "was never hashed"
    return f"the registered {model} version {version} of release {release.id} {was}; evaluate again"


def fetch(destination: Path, **place: str) -> Path:
    """Copy artifacts out of MLflow, without a progress bar inside ours."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(**place, dst_path=str(destination)))


def _checked_gate(release: Judged, folder: Path) -> dict[str, Any]:
    path = folder / GATE
    if not path.exists() or file_digest(path) != release.evidence.get(GATE):
        raise UserError(f"{GATE} of release {release.id} is not what the gate wrote; evaluate again")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _contradictions(release: Judged, shown: Path) -> Iterator[str]:
    """Yield where the release says otherwise than gate.json, or the rules are not those declared."""
    if RULES in release.evidence and release.evidence[RULES] != release.digests.get("gate"):
        yield f"{RULES} of release {release.id} is not what was declared before anything was measured"
    gate = _read(shown / GATE)
    challenger = gate.get("challenger", {})
    stated = {
        "outcome": gate.get("outcome"),
        "classifier_version": challenger.get("classifier_version"),
        "embedder_version": challenger.get("embedder_version"),
        "digests": gate.get("digests"),
        "challenged": (gate.get("champion") or {}).get("release", ""),
    }
    for name, value in stated.items():
        if gate and getattr(release, name, None) not in (None, value):
            yield f"the {name.replace('_', ' ')} of release {release.id} is not that of gate.json"


def _still_there(release: Judged) -> bool:
    """Tell whether the folder still holds this evaluation: a later one may have taken its place."""
    return bool(_read(Path(release.evaluation) / GATE).get("run_id") == release.run_id)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


@contextmanager
def _shown_evidence(release: Judged) -> Iterator[Path]:
    import mlflow

    tracking()
    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        try:
            found = fetch(Path(folder), run_id=release.run_id, artifact_path="report")
        except (OSError, mlflow.MlflowException) as error:
            raise UserError(
                f"the report of release {release.id} is gone from MLflow run {release.run_id}"
            ) from error
        yield found
