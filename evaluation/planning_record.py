"""The figures for planning as gate.json keeps them, and the latest of them read back."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.workspace import UserError, tracking
from evaluation.archive_recall import ArchiveRecall, Stratum
from evaluation.findings import Findings
from evaluation.metrics import Interval
from evaluation.registry import fetch


def gate_entries(findings: Findings) -> dict[str, Any]:
    """Return the figures for planning and of drift; what could not be measured is null."""
    parts = {name: getattr(findings, name) for name in ("planning", "drift")}
    parts = {name: asdict(part) if part else None for name, part in parts.items()}
    return {"findings": _finite(parts | {"workload": [asdict(row) for row in findings.workload]})}


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


def _finite(value: Any) -> Any:
    """Return nested figures with null for what is no number: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
