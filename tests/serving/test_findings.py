"""A finding follows from probabilities and the declared policy, and points at the words that say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data.workspace import UserError
from serving.embed import Vectors
from serving.findings import Finding, action_of, find_in_thread, read_policy

LABELS = ("ordinary", "off_channel", "harassment")
POLICY = read_policy()


def by_words(texts: Sequence[str]) -> Vectors:
    """A classifier that knows one phrase."""
    odd = [0.9 if "private phone" in text else 0.02 for text in texts]
    return np.array([[1 - each - 0.01, each, 0.01] for each in odd], np.float32)


def found(*texts: str) -> Finding:
    rows = [{"message_id": f"m{place}", "subject": "", "text": text} for place, text in enumerate(texts)]
    return find_in_thread("t", rows, classify=by_words, labels=LABELS, temperature=1.0, policy=POLICY)


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
