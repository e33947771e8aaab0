"""A release that waits for its reviewer, with a whole report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from made_decisions import decide

from data.dataset import read_manifest, read_messages
from evaluation.errors import WorstError
from evaluation.gate import judge
from evaluation.report import write_report
from evaluation.rules import load_rules
from serving.digest import file_digest
from serving.index import MARKER, Index
from serving.reviews import GATE, REPORT
from tests.evaluation.made_findings import against_champion, made_answer, made_test_set

PENDING = "0123456789ab"


def propose_with_report(folder: Path, dataset: Path | None = None) -> Path:
    """Write the evaluation of a challenger that is worse than the champion, propose it, return the report.

    With ``dataset`` it got every message of it wrong.
    """
    test, rules = made_test_set(), load_rules()
    findings = against_champion(test, partial(made_answer, test), rules)
    verdict = judge(findings, rules)
    folder.mkdir(parents=True)
    write_report(folder / REPORT, findings, verdict, rules)
    said = {"headline": f"{verdict.outcome}: made up", "reasons": verdict.reasons}
    index = propose_index(folder / "index", dataset) if dataset else Path("gone")
    if dataset:
        rows = read_messages(dataset, columns=("message_id", "subject", "text")).to_pylist()
        said["findings"] = {"errors": {"worst": [wrongly(row) for row in rows]}}
    (folder / GATE).write_text(json.dumps(said))
    evidence = {name: file_digest(folder / name) for name in (REPORT, GATE)}
    digest = file_digest(index / MARKER) if dataset else ""
    decide(
        "proposed", PENDING, index, digest, outcome=verdict.outcome, evaluation=str(folder), evidence=evidence
    )
    return folder / REPORT


def propose_index(folder: Path, dataset: Path) -> Path:
    """Write what an index says of itself, without one."""
    folder.mkdir(parents=True)
    index = Index("", "made", 3, 2, "", read_manifest(dataset).digest, str(dataset))
    (folder / MARKER).write_text(json.dumps(asdict(index)))
    return folder


def wrongly(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the error at a message, its answer resting on the first word of its text."""
    start = len(row["subject"]) + 1
    word = {"start": start, "end": start + len(row["text"].split()[0]), "fall": 0.3}
    sentence = {"start": start, "end": start + row["text"].index(".") + 1, "fall": 0.5}
    error = WorstError(row["message_id"], "off_channel", "ordinary", 0.93, "email", "2026-03", critical=True)
    return asdict(error) | {"sentence": sentence, "words": [word]}
