"""Whether the evidence of a release is still what the gate wrote: on disk, and where reviewers read it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.workspace import UserError, tracking
from evaluation.registry import fetch
from evaluation.release import Release, file_digest

GATE = "gate.json"


def check_evidence(release: Release) -> None:
    """Compare gate.json, report and predictions with their hashes, on disk and where reviewers read them.

    Raises:
        UserError: a file is missing or was changed.
    """
    with _shown_evidence(release) as shown:
        folders = [shown, Path(release.evaluation)] if _still_there(release) else [shown]
        for name in release.evidence:
            for copy in (folder / name for folder in folders):
                _check(release, copy)


def read_gate(release: Release) -> dict[str, Any]:
    """Return gate.json as the gate wrote it: from the folder, or from MLflow when that holds a later one.

    Raises:
        UserError: it is gone, or was changed.
    """
    if _still_there(release):
        return _checked_gate(release, Path(release.evaluation))
    with _shown_evidence(release) as shown:
        return _checked_gate(release, shown)


def _checked_gate(release: Release, folder: Path) -> dict[str, Any]:
    _check(release, folder / GATE)
    return dict(json.loads((folder / GATE).read_text(encoding="utf-8")))


def _check(release: Release, copy: Path) -> None:
    if not copy.exists() or file_digest(copy) != release.evidence[copy.name]:
        raise UserError(f"{copy.name} of release {release.id} is not what the gate wrote; evaluate again")


def _still_there(release: Release) -> bool:
    """Tell whether the folder still holds this evaluation: a later one may have taken its place."""
    try:
        gate = json.loads((Path(release.evaluation) / GATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(gate.get("run_id") == release.run_id)


@contextmanager
def _shown_evidence(release: Release) -> Iterator[Path]:
    import mlflow

    tracking()
    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        try:
            yield fetch(Path(folder), run_id=release.run_id, artifact_path="report")
        except (OSError, mlflow.MlflowException) as error:
            raise UserError(
                f"the report of release {release.id} is gone from MLflow run {release.run_id}; evaluate again"
            ) from error
