"""Opening the worst errors: signed before it is written, for one person, of the right dataset."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from made_findings import RELEASE

from data import governance
from data.workspace import UserError
from evaluation.error_page import OpenedError
from evaluation.errors import WorstError
from evaluation.occlusion import Evidence
from evaluation.opened import OpenedPage, listed_errors, open_errors, sign_and_write

ERROR = WorstError("abcdef0123456789", "harassment", "ordinary", 0.9, "email", "2026-04", critical=True)
OPENED = OpenedError(ERROR, "Subject", "A redacted text.", 0, Evidence("ordinary", 0.9, None, ()))


@pytest.fixture(autouse=True)
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILROOM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAILROOM_KEYS", str(tmp_path / "keys"))


def write(path: Path) -> OpenedPage:
    return sign_and_write(RELEASE, [OPENED], path, gone=1, reviewer="anna", reason=" check the misses ")


def test_who_looked_and_why_is_signed_with_the_digest_of_the_page(tmp_path: Path) -> None:
    page = write(tmp_path / "page.html")

    assert {
        "kind": "review_errors",
        "by": "anna",
        "reason": "check the misses",
        "release": RELEASE.id,
        "shown": 1,
        "page_sha256": hashlib.sha256(page.path.read_bytes()).hexdigest(),
    } == governance.verified()[-1].event
    assert "A redacted text." in page.path.read_text(encoding="utf-8")


def test_the_page_is_its_owners_alone_and_replaces_the_one_before(tmp_path: Path) -> None:
    target = tmp_path / "pages" / "page.html"
    target.parent.mkdir()
    target.write_text("before")
    target.chmod(0o644)

    write(target)

    assert 0o600 == target.stat().st_mode & 0o777
    assert "before" not in target.read_text(encoding="utf-8")
    assert [target] == list(target.parent.iterdir())


def test_a_ledger_that_is_damaged_shows_nothing(tmp_path: Path) -> None:
    governance.record("reveal")
    governance.ledger_path().write_text("{broken\n")

    with pytest.raises(UserError, match="damaged"):
        write(tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("reviewer", "reason", "told"),
    [("anna", " ", "needs a reason"), ("gate", "check", "is no reviewer"), ("", "check", "is no reviewer")],
)
def test_nobody_looks_without_a_name_and_a_reason(reviewer: str, reason: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        open_errors(RELEASE.id, reviewer=reviewer, reason=reason)
    assert () == governance.verified()


def test_reads_the_errors_that_the_report_lists_or_says_that_there_are_none() -> None:
    gate = {"findings": {"errors": {"wrong": 1, "missed_critical": 1, "worst": [asdict(ERROR)]}}}

    assert [ERROR] == listed_errors(RELEASE, gate)
    assert [] == listed_errors(RELEASE, {"findings": {"errors": None}})
    with pytest.raises(UserError, match="lists no errors; evaluate again"):
        listed_errors(replace(RELEASE, id="old"), {"outcome": "hold"})
