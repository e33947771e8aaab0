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
    """Return what gate.json says for planning; what could not be measured is null, curves are left out."""
    planning = findings.planning
    archive = planning.archive if planning else None
    equal_work = planning.equal_work if planning else None
    alarms = findings.drift.false_alarms if findings.drift else None
    return {
        "workload": [_finite(asdict(row)) for row in findings.workload],
        "equal_work": {
            "alerts": equal_work.alerts,
            "hours_per_1000": equal_work.hours_per_1000,
            "strategies": [_finite(asdict(each)) for each in equal_work.strategies],
        }
        if equal_work
        else None,
        "lexicon_terms": [_finite(asdict(term)) for term in (planning.terms if planning else ())],
        "archive_recall": _finite(asdict(archive)) if archive else None,
        "drift_false_alarms": _finite(asdict(alarms)) if alarms else None,
    }


def archive_recall_of(gate: Mapping[str, Any]) -> ArchiveRecall | None:
    """Read the estimate back out of a gate.json; None where the evaluation has none."""
    written = gate.get("archive_recall")
    if not written:
        return None
    return ArchiveRecall(
        tuple(Stratum(**stratum) for stratum in written["strata"]),
        written["scored"],
        recall=_interval(written["recall"]),
        hits=_interval(written["hits"]),
        missed=_interval(written["missed"]),
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
        filter_string="tags.`mailroom.evaluation` IN ('promote', 'hold', 'reject')",
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
