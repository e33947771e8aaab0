"""A release that waits for its reviewer, with a whole report."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from made_decisions import decide

from evaluation.gate import judge
from evaluation.report import write_report
from evaluation.rules import load_rules
from serving.digest import file_digest
from serving.reviews import GATE, REPORT
from tests.evaluation.made_findings import against_champion, made_answer, made_test_set

PENDING = "0123456789ab"


def propose_with_report(folder: Path) -> Path:
    """Write the evaluation of a challenger that is worse than the champion, propose it, return the report."""
    test, rules = made_test_set(), load_rules()
    findings = against_champion(test, partial(made_answer, test), rules)
    verdict = judge(findings, rules)
    folder.mkdir(parents=True)
    write_report(folder / REPORT, findings, verdict, rules)
    said = {"headline": f"{verdict.outcome}: made up", "reasons": verdict.reasons}
    (folder / GATE).write_text(json.dumps(said))
    evidence = {name: file_digest(folder / name) for name in (REPORT, GATE)}
    decide("proposed", PENDING, outcome=verdict.outcome, evaluation=str(folder), evidence=evidence)
    return folder / REPORT
