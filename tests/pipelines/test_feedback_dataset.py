"""Settled feedback becomes the labels of the next dataset version, and goes with its message."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_archive import NAME, SUBJECT, write_archive

from data import feedback
from data.dataset import read_manifest, read_messages
from data.feedback import Label
from data.prepare import prepare
from data.schema import LabelSource
from pipelines.erase import erase
from pipelines.fingerprint import feedback_fingerprint

pytestmark = pytest.mark.slow


def agree(message_id: str, label: str) -> None:
    for reviewer in ("ada", "bo"):
        feedback.add([Label(message_id, label, "random")], reviewer=reviewer)


def test_reviewed_labels_make_a_new_version_with_provenance(tmp_path: Path, workspace: Path) -> None:
    archive, prepared = write_archive(tmp_path / "archive"), workspace / "prepared"
    (archive / "labels.csv").write_text("source,label\n0.eml,ordinary\n2.eml,ordinary\n")
    before = prepare(str(archive), prepared, spark_master="local[2]")
    ids = {row["source"]: row["message_id"] for row in read_messages(prepared).to_pylist()}
    assert [("labels.csv", 2)] == [(each.name, each.labels) for each in before.label_sources]
    assert "" == feedback_fingerprint()

    agree(ids["0.eml"], "insider_information")
    agree(ids["3.eml"], "ordinary")
    agree("no-such-message", "ordinary")
    after = prepare(str(archive), prepared, spark_master="local[2]")

    rows = {row["source"]: (row["label"], row["label_source"]) for row in read_messages(prepared).to_pylist()}
    assert ("insider_information", "feedback") == rows["0.eml"]
    assert ("ordinary", "labels.csv") == rows["2.eml"]
    assert ("ordinary", "feedback") == rows["3.eml"]
    assert before.digest != after.digest
    assert feedback_fingerprint()
    assert 1 == after.label_conflicts
    by_name = {each.name: each for each in after.label_sources}
    assert (1, 2, 1) == (
        by_name["labels.csv"].labels,
        by_name["feedback"].labels,
        by_name["feedback"].unmatched,
    )
    assert isinstance(read_manifest(prepared).label_sources[0], LabelSource)
    assert "feedback overruled 1 labels" in str(after)

    done = erase([SUBJECT, NAME], confirm=lambda _: True)

    assert done is not None
    assert done.scan.is_clean, str(done)
    assert 2 == done.feedback
    assert {ids["3.eml"], "no-such-message"} == {record.message_id for _, record in feedback.read().labels}
    assert {"labels.csv": 1, "feedback": 1} == {
        each.name: each.labels for each in read_manifest(prepared).label_sources
    }


def test_labels_of_what_expired_go_too(tmp_path: Path, workspace: Path) -> None:
    archive = write_archive(tmp_path / "archive")
    prepare(str(archive), workspace / "prepared", spark_master="local[2]")
    rows = read_messages(workspace / "prepared").to_pylist()
    for row in rows:
        agree(row["message_id"], "ordinary")
    policy = tmp_path / "retention.yaml"
    policy.write_text("as_of: 2025-01-01\nrules:\n  - {channel: email, older_than_days: 152}\n")

    prepare(str(archive), workspace / "prepared", spark_master="local[2]", retention=str(policy))

    expired = {row["message_id"] for row in rows if row["source"] == "0.eml"}
    kept = {record.message_id for _, record in feedback.read().labels}
    assert expired
    assert {row["message_id"] for row in rows} - expired == kept
