"""A judge's failures are counted, whether it raises or falls silent; tested against a stub."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from stub_judge import stub_judge

from data.workspace import UserError
from evaluation.findings import Findings
from evaluation.gate import judge as verdict_of
from evaluation.judge import Asked, Judge, Judged, configured_judge, judge_answers
from evaluation.report import write_report
from evaluation.rules import Rules

ASKED = [
    Asked(
        "When does the lease end?",
        "The lease ends on 30 June.",
        "On 30 June.",
        ("The lease ends on 30 June.",),
    ),
    Asked("Who failed?", "", "The cooling.", ()),
]


def judged(rating: int | None) -> Judged:
    with stub_judge(rating=rating) as url:
        return judge_answers(Judge(url, "stub"), ASKED, draws=200)


@pytest.mark.slow
def test_scores_come_with_how_many_were_scored() -> None:
    found = judged(2)

    scores = {metric.name: (metric.mean.value, metric.scored) for metric in found.metrics}
    assert (0.5, 2) == scores["context relevance"]  # 1.0 for the first, 0 where nothing was found
    assert (0.25, 2) == scores["accuracy"]  # 2 of 4 for the first, 0 without an answer
    assert 2 == scores["faithfulness"][1]
    assert 1.0 == found.scored_share


@pytest.mark.slow
def test_ratings_outside_the_scale_are_silent_failures() -> None:
    found = {metric.name: metric for metric in judged(3).metrics}

    assert (1, 1, 0) == (found["accuracy"].scored, found["accuracy"].silent, found["accuracy"].raised)
    assert (1, 1, 0) == (
        found["context relevance"].scored,
        found["context relevance"].silent,
        found["context relevance"].raised,
    )


@pytest.mark.slow
def test_a_judge_without_json_scores_nothing_and_says_so() -> None:
    found = judged(None)

    assert 0.5 == found.scored_share
    assert {1} == {metric.silent + metric.raised for metric in found.metrics}


@pytest.mark.slow
def test_a_judge_that_is_not_there_ends_soon() -> None:
    started = time.monotonic()
    found = judge_answers(Judge("http://127.0.0.1:9/v1", "stub"), ASKED[:1], draws=200)

    assert 0.0 == found.scored_share
    assert all(math.isnan(metric.mean.value) for metric in found.metrics)
    assert time.monotonic() - started < 200


def test_too_few_scores_reject_and_the_page_counts_them(
    good_findings: Findings, rules: Rules, tmp_path: Path
) -> None:
    half = Judged("stub", 10, ())
    findings = replace(good_findings, judged=half)

    checks = {check.name: check for check in verdict_of(findings, rules).checks}
    assert (False, "reject") == (checks["answers judged"].passed, checks["answers judged"].effect)
    assert "answers judged" not in {check.name for check in verdict_of(good_findings, rules).checks}
    write_report(tmp_path / "report.html", findings, verdict_of(findings, rules), rules)
    assert "as <code>stub</code> judges them" in (tmp_path / "report.html").read_text()


def test_a_judge_is_asked_only_where_its_address_is_named() -> None:
    assert configured_judge({}) is None
    address = {"MAILROOM_JUDGE_URL": "http://127.0.0.1:8000/v1", "MAILROOM_JUDGE_MODEL": "judge"}
    assert Judge("http://127.0.0.1:8000/v1", "judge", "secret") == configured_judge(
        address | {"MAILROOM_JUDGE_KEY": "secret"}
    )
    assert "secret" not in repr(Judge("http://127.0.0.1:8000/v1", "judge", "secret"))


@pytest.mark.parametrize("missing", ["MAILROOM_JUDGE_URL", "MAILROOM_JUDGE_MODEL"])
def test_half_a_judge_is_a_users_mistake(missing: str) -> None:
    address = {"MAILROOM_JUDGE_URL": "http://127.0.0.1:8000/v1", "MAILROOM_JUDGE_MODEL": "judge"}

    with pytest.raises(UserError, match="a judge needs both"):
        configured_judge({name: value for name, value in address.items() if name != missing})
