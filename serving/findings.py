"""What a thread means to the department: risk, the policy it touches, the words that say so, and an action.

Probabilities come from the classifier, the action from a declared table (``policy.yaml``), and the
evidence from leaving sentences out (occlusion: Zeiler and Fergus 2014; Li, Monroe and Jurafsky 2016).
No language model decides anything here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.declared import read_declared
from data.model_input import classifier_input
from serving.batching import Ask
from serving.client import calibrated
from serving.embed import Vectors
from serving.sentences import sentence_spans

Action = Literal["escalate", "monitor", "none"]
DECLARED = Path(__file__).with_name("policy.yaml")
EXPLAINED = 3  # messages whose words are looked at: the most telling ones
SENTENCES = 16  # of a message that are left out in turn
SPANS = 3  # of a message that are shown
TELLING = 0.02  # a sentence without which the probability falls by less says nothing


class Rule(BaseModel):
    """From which probability on a label asks for what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: str
    escalate: float = Field(ge=0, le=1)
    monitor: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Rule:
        if self.monitor > self.escalate:
            raise ValueError("monitor must not lie above escalate")
        return self


class Policy(BaseModel):
    """The declared table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benign: tuple[str, ...]
    default: Rule
    labels: dict[str, Rule]


class Span(BaseModel):
    """Words of a message that the label stands on: offsets into its text."""

    message_id: str
    start: int
    end: int
    weight: float = Field(description="how far the label's probability falls without these words")


class Judged(BaseModel):
    """One message of the thread."""

    message_id: str
    label: str
    probability: float
    action: Action


class Finding(BaseModel):
    """What a thread means: everything in it follows from probabilities and the declared policy."""

    thread_id: str
    action: Action
    risk: float = Field(description="highest probability that a message is not benign", ge=0, le=1)
    label: str = Field(description="the label that asks for the action; empty when none does")
    policy: str
    confidence: float = Field(description="probability of that label where it is highest", ge=0, le=1)
    probabilities: dict[str, float] = Field(description="highest probability of every label in the thread")
    evidence: list[Span]
    messages: list[Judged]


def read_policy(path: str | Path = "") -> Policy:
    """Return the declared policy.

    Raises:
        UserError: it cannot be read, or is not one.
    """
    return read_declared(path or DECLARED, Policy, what="the policy", way_out=f"compare it with {DECLARED}")


def action_of(policy: Policy, label: str, probability: float) -> Action:
    """Return what the policy asks for at this probability of this label."""
    if label in policy.benign:
        return "none"
    rule = policy.labels.get(label, policy.default)
    if probability >= rule.escalate:
        return "escalate"
    return "monitor" if probability >= rule.monitor else "none"


def find_in_thread(
    thread_id: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    classify: Ask,
    labels: Sequence[str],
    temperature: float,
    policy: Policy,
    several: bool = False,
) -> Finding:
    """Judge the messages of one thread (rows with message_id, subject and text; at least one).

    Where a message may have ``several`` labels, the one that asks for most decides, as always; its risk
    is that of the most probable label that is not benign, since the probabilities do not add up.
    """
    texts = [classifier_input(row["subject"] or "", row["text"] or "") for row in messages]

    def probabilities_of(asked: Sequence[str]) -> Vectors:
        return calibrated(classify(asked), temperature, several=several)

    rows = probabilities_of(texts)
    telling = [_most_telling(row, labels, policy) for row in rows]
    judged = [
        Judged(message_id=row["message_id"], label=label, probability=probability, action=action)
        for row, (label, probability, action) in zip(messages, telling, strict=True)
    ]
    harmful = [place for place, label in enumerate(labels) if label not in policy.benign]
    worst = max(range(len(judged)), key=lambda place: _rank(judged[place]))
    explained = sorted(
        (place for place, each in enumerate(judged) if each.action != "none"),
        key=lambda place: _rank(judged[place]),
        reverse=True,
    )[:EXPLAINED]
    evidence = [
        span
        for place in explained
        for span in _evidence(
            messages[place], judged[place], probabilities_of, labels.index(judged[place].label)
        )
    ]
    asks = judged[worst].action != "none"
    risks = rows[:, harmful].max(axis=1, initial=0.0) if several else rows[:, harmful].sum(axis=1)
    return Finding(
        thread_id=thread_id,
        action=judged[worst].action,
        risk=min(1.0, float(risks.max())),
        label=judged[worst].label if asks else "",
        policy=policy.labels.get(judged[worst].label, policy.default).policy if asks else "",
        confidence=judged[worst].probability if asks else 0.0,
        probabilities=dict(zip(labels, map(float, rows.max(axis=0)), strict=True)),
        evidence=evidence,
        messages=judged,
    )


def _most_telling(row: np.ndarray, labels: Sequence[str], policy: Policy) -> tuple[str, float, Action]:
    """Return the label that asks for most, not the most probable one: a risk of .3 beside .7 is a risk."""
    judged = [
        (label, float(probability), action_of(policy, label, float(probability)))
        for label, probability in zip(labels, row, strict=True)
    ]
    return max(judged, key=lambda each: (_ORDER[each[2]], each[1]))


_ORDER: dict[Action, int] = {"none": 0, "monitor": 1, "escalate": 2}


def _rank(judged: Judged) -> tuple[int, float]:
    return _ORDER[judged.action], judged.probability


def _evidence(message: Mapping[str, Any], judged: Judged, probabilities_of: Ask, column: int) -> list[Span]:
    """Return the sentences without which the label loses most, heaviest first."""
    text, subject = message["text"] or "", message["subject"] or ""
    spans = [(start, start + len(sentence)) for start, sentence in sentence_spans(text)][:SENTENCES]
    if not spans:
        return []
    without = [classifier_input(subject, text[:start] + text[end:]) for start, end in spans]
    left = probabilities_of(without)[:, column]
    falls = [judged.probability - float(value) for value in left]
    heaviest = sorted(range(len(spans)), key=lambda place: -falls[place])[:SPANS]
    found = [place for place in heaviest if falls[place] >= TELLING]
    return [
        Span(
            message_id=judged.message_id,
            start=spans[place][0],
            end=spans[place][1],
            weight=round(falls[place], 4),
        )
        for place in found
    ]
