"""The worst errors of a release that waits: for reviewers alone, within their limits, on record."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from made_decisions import decide
from made_gateway import client_of, made_door
from made_review import PENDING, propose_with_report

from data.dataset import read_manifest, read_messages
from serving.access import Caller, Role
from serving.guard import Guards
from serving.kept import kept_path
from serving.limits import DeadlineError, deadline
from serving.review_errors import LONGEST, cut, errors_of
from serving.scope import Scope

ERRORS = f"/v1/reviews/{PENDING}/errors"


@dataclass(frozen=True, slots=True)
class Limited:
    """A check of credentials that knows one role, with a limit."""

    scope: Scope

    def caller(self, text: str) -> Caller:
        return Caller("rita", ("reviewer",), self.scope, credential=text, signer="rita")


def audited(guards: Guards) -> dict[str, object]:
    """Return the newest line of the audit."""
    return dict(json.loads(guards.audit.path.read_text().splitlines()[-1])["event"])


def test_a_reviewer_reads_them_with_the_places_that_the_answers_rest_on(
    tmp_path: Path, small_dataset: Path, guards: Guards
) -> None:
    propose_with_report(tmp_path / "evaluation", small_dataset)
    client = client_of(made_door(tmp_path / "made", small_dataset), guards, "reviewer")

    reply = client.get(ERRORS)

    rows = {row["message_id"]: row for row in read_messages(small_dataset).to_pylist()}
    shown = reply.json()["errors"]
    assert (200, 0, rows.keys()) == (
        reply.status_code,
        reply.json()["withheld"],
        {error["message_id"] for error in shown},
    )
    for error in shown:
        row = rows[error["message_id"]]
        assert (row["subject"], row["text"]) == (error["subject"], error["text"])
        whole, (word,) = f"{error['subject']}\n{error['text']}", error["words"]
        assert row["text"].split()[0] == whole[word["start"] : word["end"]]
        assert whole[error["sentence"]["start"] : error["sentence"]["end"]] in row["text"]
    line = audited(guards)
    assert (PENDING, 0) == (line["release"], line["withheld"])
    assert rows.keys() == set(line["messages"])  # type: ignore[call-overload]
    (release,) = client.get("/v1/reviews").json()["releases"]
    assert len(rows) == release["errors"]


@pytest.mark.parametrize("role", ["analyst", "admin", "service", ""])
def test_nobody_else_reads_them(tmp_path: Path, small_dataset: Path, guards: Guards, role: Role) -> None:
    propose_with_report(tmp_path / "evaluation", small_dataset)

    reply = client_of(made_door(tmp_path / "made", small_dataset), guards, role).get(ERRORS)

    assert (403 if role else 401) == reply.status_code
    assert not [row for row in read_messages(small_dataset).to_pylist() if row["message_id"] in reply.text]
    assert [] == audited(guards).get("messages", [])


def test_what_lies_outside_the_limits_is_withheld_and_counted(
    tmp_path: Path, small_dataset: Path, guards: Guards
) -> None:
    propose_with_report(tmp_path / "evaluation", small_dataset)
    limited = replace(guards, credentials=[Limited(Scope(labels=("ordinary",)))])
    client = client_of(made_door(tmp_path / "made", small_dataset), limited, "rita")

    reply = client.get(ERRORS).json()

    rows = read_messages(small_dataset).to_pylist()
    inside = {row["message_id"] for row in rows if row["label"] == "ordinary"}
    assert inside == {error["message_id"] for error in reply["errors"]}
    assert len(rows) - len(inside) == reply["withheld"] == audited(guards)["withheld"]


def test_only_of_a_release_that_waits(tmp_path: Path, small_dataset: Path, guards: Guards) -> None:
    client = client_of(made_door(tmp_path / "made", small_dataset), guards, "reviewer")
    assert 404 == client.get(ERRORS).status_code

    propose_with_report(tmp_path / "evaluation", small_dataset)
    assert 200 == client.get(ERRORS).status_code
    decide("rejected", PENDING)

    assert 404 == client.get(ERRORS).status_code
    assert [0] == [release["errors"] for release in client.get("/v1/reviews").json()["releases"]]


@pytest.mark.parametrize("changed", ["gate.json", "index/index.json"])
def test_changed_evidence_shows_nothing(
    tmp_path: Path, small_dataset: Path, guards: Guards, changed: str
) -> None:
    propose_with_report(tmp_path / "evaluation", small_dataset)
    path = tmp_path / "evaluation" / changed
    path.write_text(path.read_text() + " ")

    reply = client_of(made_door(tmp_path / "made", small_dataset), guards, "reviewer").get(ERRORS)

    assert reply.status_code >= 500
    assert "errors" not in reply.json()


def test_nobody_reads_on_when_the_time_of_the_request_is_over(
    tmp_path: Path, small_dataset: Path, workspace: Path
) -> None:
    propose_with_report(tmp_path / "evaluation", small_dataset)

    with pytest.raises(DeadlineError), deadline(0):
        errors_of(PENDING, Scope())


def test_a_dataset_that_only_the_workspace_keeps_is_read_there(
    tmp_path: Path, small_dataset: Path, guards: Guards
) -> None:
    step = tmp_path / "step"
    shutil.copytree(small_dataset, step)
    propose_with_report(tmp_path / "evaluation", step)
    client = client_of(made_door(tmp_path / "made", small_dataset), guards, "reviewer")
    (step / "manifest.json").unlink()
    assert 503 == client.get(ERRORS).status_code

    shutil.copytree(small_dataset, kept_path("dataset", read_manifest(small_dataset).digest))

    assert 90 == len(client.get(ERRORS).json()["errors"])


def test_a_dataset_that_is_gone_is_said(tmp_path: Path, small_dataset: Path, guards: Guards) -> None:
    propose_with_report(tmp_path / "evaluation", small_dataset)
    (tmp_path / "evaluation" / "index" / "index.json").unlink()

    reply = client_of(made_door(tmp_path / "made", small_dataset), guards, "reviewer").get(ERRORS)

    assert (503, True) == (reply.status_code, "not at hand" in reply.json()["error"]["message"])


@pytest.mark.parametrize(("subject", "text"), [("s" * 20, "t" * 2 * LONGEST), ("s" * 2 * LONGEST, "t")])
def test_a_long_message_is_cut_and_what_is_left_out_counted(subject: str, text: str) -> None:
    shown_subject, shown_text, left_out = cut(subject, text)

    assert LONGEST == len(shown_subject) + len(shown_text)
    assert len(subject) + len(text) == LONGEST + left_out
