"""The releases of the decision log, as a reviewer reads them: changed evidence is named, never shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.workspace import UserError
from serving.decisions import statuses, verified
from serving.digest import file_digest

REPORT, GATE = "eval_report.html", "gate.json"


class ChangedEvidenceError(Exception):
    """The decision log, or a file that a decision stands on, is not what was written."""


@dataclass(frozen=True, slots=True)
class ReviewedRelease:
    """One release: what became of it, and what the gate said."""

    id: str
    status: str  # pending | live | superseded | rejected
    outcome: str
    headline: str
    reasons: tuple[str, ...]
    has_report: bool
    errors: int  # that can be read; 0 once it is decided


def reviewed_releases() -> list[ReviewedRelease]:
    """Return all releases, newest first.

    Raises:
        ChangedEvidenceError: the decision log does not verify.
    """
    return [_reviewed(stated, status) for stated, status in reversed(_stated().values())]


def report_of(release_id: str) -> str | None:
    """Return the report that a release was proposed with; None when there is no such release or file.

    Raises:
        ChangedEvidenceError: the report, or the decision log, was changed.
    """
    stated = _stated().get(release_id)
    return evidence_of(stated[0], REPORT) if stated else None


def pending_release(release_id: str) -> Mapping[str, Any] | None:
    """Return a release that waits for its decision, as it was proposed; None when none so called does.

    Raises:
        ChangedEvidenceError: the decision log was changed.
    """
    release, status = _stated().get(release_id, ({}, ""))
    return release if status == "pending" else None


def _stated() -> dict[str, tuple[Mapping[str, Any], str]]:
    """Return every release as it was proposed, with what became of it."""
    try:
        entries = verified()
    except UserError as error:
        raise ChangedEvidenceError(str(error)) from None
    return statuses(entries)


def _reviewed(stated: Mapping[str, Any], status: str) -> ReviewedRelease:
    try:
        gate = json.loads(evidence_of(stated, GATE) or "{}")
        has_report = evidence_of(stated, REPORT) is not None
    except ChangedEvidenceError as error:
        gate, has_report = {"headline": str(error)}, False
    return ReviewedRelease(
        id=str(stated["id"]),
        status=status,
        outcome=str(stated["outcome"]),
        headline=str(gate.get("headline", "the evaluation is not at hand")),
        reasons=tuple(map(str, gate.get("reasons", ()))),
        has_report=has_report,
        errors=len(listed_errors(gate)) if status == "pending" else 0,
    )


def listed_errors(gate: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the worst errors that a gate.json lists, by their messages' ids; none in earlier versions."""
    errors = (gate.get("findings") or {}).get("errors") or {}
    return errors.get("worst") or ()


def evidence_of(stated: Mapping[str, Any], name: str) -> str | None:
    """Return a file that a release was proposed with; None when it is gone.

    Raises:
        ChangedEvidenceError: it is not what was proposed.
    """
    path = Path(str(stated["evaluation"])) / name
    if not path.is_file():
        return None
    if file_digest(path) != stated["evidence"].get(name):
        raise ChangedEvidenceError(f"{name} of release {stated['id']} was changed after it was proposed")
    return path.read_text(encoding="utf-8")
