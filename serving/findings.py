"""What a thread means to the department: risk, the policy it touches, the words that say so, and an action.

Probabilities come from the classifier, the action from a declared table (``policy.yaml``), and the
evidence from leaving sentences out (occlusion: Zeiler and Fergus 2014; Li, Monroe and Jurafsky 2016).
No language model decides anything here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.declared import read_declared
from data.model_input import classifier_input
from serving.batching import Ask
from serving.client import calibrated
from serving.embed import Vectors
from serving.limits import seconds_left
from serving.sentences import sentence_spans

Action = Literal["escalate", "monitor", "none"]
Outcome = Action | Literal["undecided"]  # of a thread that was not read to its end
DECLARED = Path(__file__).with_name("policy.yaml")
EXPLAINED = 3  # messages whose words are looked at: the most telling ones
SENTENCES = 16  # of a message that are left out in turn
SPANS = 3  # of a message that are shown
BATCH = 32  # messages that are judged between two looks at the clock
FINDING_S = 120.0
READING = 2 / 3  # of the time; the rest is for the evidence
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
    action: Outcome = Field(description="undecided: what was read asks for nothing, and not all was read")
    risk: float = Field(description="highest probability that a message is not benign", ge=0, le=1)
    label: str = Field(description="the label that asks for the action; empty when none does")
    policy: str
    confidence: float = Field(description="probability of that label where it is highest", ge=0, le=1)
    probabilities: dict[str, float] = Field(description="highest probability of every label in the thread")
    evidence: list[Span]
    messages: list[Judged] = Field(description="those that were read, oldest first")
    examined: int = Field(description="how many messages were read in the time that there was")
    total: int = Field(description="how many there are")


class Findings(BaseModel):
    """What the threads mean that speak of a question, most risky first."""

    findings: list[Finding]


def most_risky_first(found: Iterable[Finding]) -> Findings:
    """Order findings by what they ask for, then by risk."""
    return Findings(
        findings=sorted(found, key=lambda each: (_SEVERITY[each.action], each.risk), reverse=True)
    )


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
    parts: Iterable[Sequence[Mapping[str, Any]]],
    *,
    order: Sequence[str],
    classify: Ask,
    labels: Sequence[str],
    temperature: float,
    policy: Policy,
    several: bool = False,
) -> Finding:
    """Judge the messages of one thread (rows with message_id, subject and text; at least one).

    ``order`` are the ids of all its messages. ``parts`` are read until two thirds of the request's time
    are over; a thread that is not read to its end is never called clean.
    Where a message may have ``several`` labels, the one that asks for most decides, as always; its risk
    is that of the most probable label that is not benign, since the probabilities do not add up.
    """

    def probabilities_of(asked: Sequence[str]) -> Vectors:
        return calibrated(classify(asked), temperature, several=several)

    harmful = [place for place, label in enumerate(labels) if label not in policy.benign]
    judged: dict[str, Judged] = {}
    telling: list[tuple[Judged, Mapping[str, Any]]] = []
    highest, risk = np.zeros(len(labels)), 0.0
    for rows in _in_time(parts):
        scores = probabilities_of([classifier_input(row["subject"] or "", row["text"] or "") for row in rows])
        said = [
            _judged(row["message_id"], each, labels, policy) for row, each in zip(rows, scores, strict=True)
        ]
        judged |= {each.message_id: each for each in said}
        telling = _most([*telling, *zip(said, rows, strict=True)])
        risks = scores[:, harmful].max(axis=1, initial=0.0) if several else scores[:, harmful].sum(axis=1)
        highest, risk = np.maximum(highest, scores.max(axis=0)), max(risk, float(risks.max()))
    worst = max(judged.values(), key=_rank)
    asks, is_whole = worst.action != "none", len(judged) >= len(order)
    return Finding(
        thread_id=thread_id,
        action=worst.action if asks or is_whole else "undecided",
        risk=min(1.0, risk),
        label=worst.label if asks else "",
        policy=policy.labels.get(worst.label, policy.default).policy if asks else "",
        confidence=worst.probability if asks else 0.0,
        probabilities=dict(zip(labels, map(float, highest), strict=True)),
        evidence=[
            span
            for each, row in telling
            for span in _evidence(row, each, probabilities_of, labels.index(each.label))
        ],
        messages=[judged[message_id] for message_id in order if message_id in judged],
        examined=len(judged),
        total=len(order),
    )


def _in_time(parts: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield messages until it is time to look for the evidence; the first ones in any case."""
    until = time.monotonic() + READING * seconds_left(FINDING_S)
    for part in parts:
        for start in range(0, len(part), BATCH):
            yield part[start : start + BATCH]
            if time.monotonic() > until:
                return


def _most(told: Iterable[tuple[Judged, Mapping[str, Any]]]) -> list[tuple[Judged, Mapping[str, Any]]]:
    """Return the messages that ask for something and say so most clearly: no other text is kept."""
    asking = (each for each in told if each[0].action != "none")
    return sorted(asking, key=lambda each: _rank(each[0]), reverse=True)[:EXPLAINED]


def _judged(message_id: str, row: np.ndarray, labels: Sequence[str], policy: Policy) -> Judged:
    label, probability, action = _most_telling(row, labels, policy)
    return Judged(message_id=message_id, label=label, probability=probability, action=action)


def _most_telling(row: np.ndarray, labels: Sequence[str], policy: Policy) -> tuple[str, float, Action]:
    """Return the label that asks for most, not the most probable one: a risk of .3 beside .7 is a risk."""
    judged = [
        (label, float(probability), action_of(policy, label, float(probability)))
        for label, probability in zip(labels, row, strict=True)
    ]
    return max(judged, key=lambda each: (_SEVERITY[each[2]], each[1]))


_SEVERITY: dict[Outcome, int] = {"none": 0, "undecided": 1, "monitor": 2, "escalate": 3}


def _rank(judged: Judged) -> tuple[int, float]:
    return _SEVERITY[judged.action], judged.probability


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
