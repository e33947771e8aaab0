"""The archive's recall as gate.json keeps it, read back."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.workspace import UserError, tracking
from evaluation.archive_recall import ArchiveRecall, Stratum
from evaluation.metrics import Interval
from evaluation.registry import fetch


def archive_recall_of(gate: Mapping[str, Any]) -> ArchiveRecall | None:
    """Read the estimate back out of a gate.json; None where the evaluation has none."""
    planning = gate.get("findings", {}).get("planning") or {}
    written = planning.get("archive")
    if not written:
        return None
    return ArchiveRecall(
        tuple(Stratum(**stratum) for stratum in written["strata"]),
        written["scored"],
        recall=_interval(written["recall"]),
        hits=_interval(written["hits"]),
        missed=_interval(written["missed"]),
        confidence=written["confidence"],
        doubts=tuple(written["doubts"]),
    )


def latest_gate() -> Mapping[str, Any]:
    """Return the gate.json of the newest evaluation, as reviewers read it in MLflow.

    Raises:
        UserError: nothing was evaluated yet, or its evidence is gone.
    """
    import mlflow

    tracking()
    client = mlflow.MlflowClient()
    runs = client.search_runs(
        [each.experiment_id for each in client.search_experiments()],
        filter_string="tags.`mailroom.evaluation` != 'declared'",  # those that came to a verdict
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    if not runs:
        raise UserError("nothing was evaluated yet; run notebook 05_evaluate, or: mailroom run")
    with tempfile.TemporaryDirectory(prefix="mailroom-") as folder:
        try:
            path = fetch(Path(folder), run_id=runs[0].info.run_id, artifact_path="report/gate.json")
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, mlflow.MlflowException) as error:
            problem = f"gate.json of run {runs[0].info.run_id} cannot be read ({type(error).__name__})"
            raise UserError(f"{problem}; evaluate again") from None


def _interval(written: Mapping[str, float | None]) -> Interval:
    figures = [written[name] for name in ("value", "low", "high")]
    return Interval(*(math.nan if figure is None else figure for figure in figures))
