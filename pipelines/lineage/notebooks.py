"""The executed notebook of a step: what it was when it was kept, and what it is now."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from evaluation.registry import fetch
from pipelines.lineage.line import Line, Walk

NO_NOTEBOOK = "the run was not opened by a notebook's step"


def notebook_line(walk: Walk, run: Any) -> Line:
    """Return the executed notebook of an MLflow run, checked against the hash that the step kept of it."""
    tags, name = run.data.tags, "executed notebook"
    recorded, step = tags.get("mailroom.sha256.ipynb", ""), tags.get("mailroom.step", "")
    if not recorded:
        return Line(name, note=f"{step} kept none" if step else NO_NOTEBOOK)
    path = f"evidence/{step}.ipynb"
    holds = walk.holds(lambda: recorded == _digest(run.info.run_id, path))
    return Line(name, recorded, f"{path} of the run", holds)


def _digest(run_id: str, path: str) -> str:
    import mlflow

    with tempfile.TemporaryDirectory(prefix="mailroom-") as scratch:
        try:
            kept = fetch(Path(scratch), run_id=run_id, artifact_path=path)
        except (OSError, mlflow.MlflowException):
            return "gone"
        return hashlib.sha256(kept.read_bytes()).hexdigest()
