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
from evaluation.judge import (
    Asked,
    Judge,
    Judged,
    KnownAnswers,
    configured_judge,
    has_the_answer,
    judge_answers,
)
from evaluation.metrics import Interval
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
    assert found.known
    assert (1, 1) == (found.known.compared, found.known.alike)  # the second was not answered


@pytest.mark.slow
def test_a_judge_that_contradicts_people_is_named() -> None:
    found = judged(0)

    assert found.known
    assert (1, 0) == (found.known.compared, found.known.alike)


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


@pytest.mark.parametrize(
    ("response", "has_it"),
    [
        ("The lease ends on 30 June.", True),
        ("On 30  june!", True),
        ("The lease ends on 30 July.", False),
        ("The lease ends on 30 Juneau.", False),
        ("", False),
    ],
)
def test_a_response_is_right_by_people_that_has_the_known_words(response: str, has_it: bool) -> None:
    assert has_the_answer(response, "On 30 June.") is has_it


def test_an_empty_reference_makes_nothing_right() -> None:
    assert not has_the_answer("The lease ends.", " ")


def test_the_page_says_how_far_the_judge_agrees_with_people(
    good_findings: Findings, rules: Rules, tmp_path: Path
) -> None:
    known = KnownAnswers(Interval(0.25, 0.1, 0.4), compared=40, alike=31)
    for agreement, words in (
        (known, "the same of 31 of 40 responses"),
        (replace(known, kappa=Interval(math.nan, math.nan, math.nan)), "cannot be told"),
        (None, "rated no response"),
    ):
        findings = replace(good_findings, judged=Judged("stub", 50, (), agreement))
        write_report(tmp_path / "report.html", findings, verdict_of(findings, rules), rules)
        assert words in (tmp_path / "report.html").read_text()


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
