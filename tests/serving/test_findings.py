"""A finding follows from probabilities and the declared policy, and points at the words that say so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_dataset import write_dataset
from made_gateway import client_of, made_door

from data.dataset import read_manifest
from data.schema import TABLES
from data.workspace import UserError
from serving.archive import open_archive
from serving.batching import Ask
from serving.door import Door
from serving.embed import Vectors
from serving.findings import Finding, action_of, find_in_thread, read_policy
from serving.guard import Guards
from serving.limits import deadline

LABELS = ("ordinary", "off_channel", "harassment")
POLICY = read_policy()


def by_words(texts: Sequence[str]) -> Vectors:
    """A classifier that knows one phrase."""
    odd = [0.9 if "private phone" in text else 0.02 for text in texts]
    return np.array([[1 - each - 0.01, each, 0.01] for each in odd], np.float32)


def found(*texts: str) -> Finding:
    rows = [{"message_id": f"m{place}", "subject": "", "text": text} for place, text in enumerate(texts)]
    return found_in([rows])


def found_in(parts: Iterable[list[dict[str, str]]], total: int = 0, classify: Ask = by_words) -> Finding:
    read = list(parts) if total == 0 else parts
    order = [f"m{place}" for place in range(total or sum(map(len, read)))]  # type: ignore[arg-type]
    return find_in_thread(
        "t", read, order=order, classify=classify, labels=LABELS, temperature=1.0, policy=POLICY
    )


def test_an_old_risk_in_a_long_thread_is_found_and_shown_in_the_threads_order():
    rows = [{"message_id": f"m{place}", "subject": "", "text": "Lunch at noon?"} for place in range(2_000)]
    rows[3]["text"] = "Call my private phone about the order."

    finding = found_in([rows[1_000:], rows[:1_000]])  # as they stand in the dataset

    assert ("escalate", 2_000, 2_000) == (finding.action, finding.examined, finding.total)
    assert {"m3"} == {span.message_id for span in finding.evidence}
    assert [row["message_id"] for row in rows] == [each.message_id for each in finding.messages]


def test_a_thread_that_there_was_no_time_to_read_is_not_called_clean():
    rows = [{"message_id": f"m{place}", "subject": "", "text": "Lunch at noon?"} for place in range(320)]

    def slowly(texts: Sequence[str]) -> Vectors:
        time.sleep(0.1)
        return by_words(texts)

    with deadline(0.6):
        finding = found_in([rows], total=320, classify=slowly)

    assert "undecided" == finding.action
    assert 0 < finding.examined == len(finding.messages) < finding.total == 320


def test_a_thread_is_as_telling_as_its_most_telling_message():
    finding = found("Lunch at noon?", "Fine. Call my private phone about the order. See you.")

    assert (finding.action, finding.label, finding.policy) == ("escalate", "off_channel", "recorded channels")
    assert finding.risk == pytest.approx(0.91)
    assert [each.action for each in finding.messages] == ["none", "escalate"]


def test_the_evidence_is_the_sentence_without_which_it_is_nothing():
    text = "Fine. Call my private phone about the order. See you."

    (span,) = found(text).evidence

    assert text[span.start : span.end] == "Call my private phone about the order."
    assert span.weight == pytest.approx(0.88, abs=1e-3)


@pytest.fixture
def long_door(tmp_path: Path, workspace: Path) -> Door:
    """A thread of 630 messages, of which the oldest alone is a risk."""
    dataset = write_dataset(tmp_path / "long", copies=70)
    part = dataset / "messages" / "part-0.parquet"
    rows = [row | {"thread_id": "long"} for row in pq.read_table(part).to_pylist()]
    rows[0]["text"] = "Call my private phone about the order."
    pq.write_table(pa.Table.from_pylist(rows, TABLES["messages"]), part, row_group_size=100)
    return replace(made_door(tmp_path / "bundle", dataset), classify=by_words, labels=LABELS)


def test_the_routes_read_a_long_thread_from_its_first_message_to_its_last(long_door: Door, guards: Guards):
    client = client_of(long_door, guards)

    finding = client.post("/v1/threads/long/finding", json={}).json()
    summary = client.post("/v1/threads/long/summary", json={}).json()

    assert ("escalate", 630, 630) == (finding["action"], finding["examined"], finding["total"])
    assert finding["messages"][0]["message_id"] == finding["evidence"][0]["message_id"]
    assert (300, 630) == (summary["examined"], summary["total"])


def test_a_question_gives_the_findings_of_its_threads_most_risky_first(tmp_path: Path, guards: Guards):
    dataset = write_dataset(tmp_path / "data")
    door = replace(made_door(tmp_path / "bundle", dataset), classify=by_words, labels=LABELS)
    part = dataset / "messages" / "part-0.parquet"
    lease, *_ = door.index.hits  # type: ignore[attr-defined]
    names = [lease.thread_id, "thread-20", "of another dataset"]
    door.index.hits = [replace(lease, thread_id=name) for name in names]  # type: ignore[attr-defined]
    rows = pq.read_table(part).to_pylist()
    risky = next(row for row in rows if row["thread_id"] == "thread-20")
    risky["text"] = "Call my private phone about the order."
    pq.write_table(pa.Table.from_pylist(rows, TABLES["messages"]), part)
    archive = open_archive(str(dataset), read_manifest(dataset).digest)
    client = client_of(replace(door, archive=archive), guards, "analyst")

    findings = client.post("/v1/findings", json={"question": "Who calls whom?"}).json()["findings"]
    first = client.post("/v1/findings", json={"question": "Who calls whom?", "threads": 1}).json()["findings"]

    assert [("thread-20", "escalate"), (lease.thread_id, "none")] == [
        (each["thread_id"], each["action"]) for each in findings
    ]
    assert findings[0] == client.post("/v1/threads/thread-20/finding", json={}).json()
    assert [lease.thread_id] == [each["thread_id"] for each in first]
    audited = json.loads(guards.audit.path.read_text().splitlines()[0])["event"]
    assert risky["message_id"] in audited["messages"]
    assert ["thread-20", lease.thread_id] == [each["asked"] for each in audited["findings"]]


def test_nothing_follows_from_an_ordinary_thread():
    finding = found("Lunch at noon?", "Fine.")

    assert (finding.action, finding.label, finding.evidence) == ("none", "", [])


@pytest.mark.parametrize(
    ("label", "probability", "action"),
    [
        ("ordinary", 1.0, "none"),
        ("off_channel", 0.6, "escalate"),
        ("off_channel", 0.59, "monitor"),
        ("off_channel", 0.29, "none"),
        ("a label of yours", 0.8, "escalate"),
        ("a label of yours", 0.5, "monitor"),
    ],
)
def test_the_same_probability_always_asks_for_the_same(label: str, probability: float, action: str):
    assert action_of(POLICY, label, probability) == action


@pytest.mark.parametrize(
    "document",
    [
        "benign: []",
        "benign: []\nlabels: {}\ndefault: {policy: p, escalate: 2, monitor: 0.1}",
        "benign: []\nlabels: {}\ndefault: {policy: p, escalate: 0.2, monitor: 0.4}",
        "[",
    ],
)
def test_a_policy_that_is_none_is_the_users_to_mend(tmp_path: Path, document: str):
    (tmp_path / "policy.yaml").write_text(document)

    with pytest.raises(UserError, match="policy"):
        read_policy(tmp_path / "policy.yaml")
