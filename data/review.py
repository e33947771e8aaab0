"""Double review: two reviewers a message, a third where they disagree, and what is settled by it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from data.feedback import History, Rule, read

REVIEWERS = 2
State = Literal["settled", "disputed", "waiting"]


@dataclass(frozen=True, slots=True)
class Review:
    """One message: what each reviewer said first and says now, in the order in which they came."""

    message_id: str
    first: tuple[tuple[str, str], ...]  # reviewer, label
    now: tuple[tuple[str, str], ...]
    rule: Rule

    @property
    def settled(self) -> str | None:
        """Return the label on which two reviewers agree and on which no other has as many."""
        counts = Counter(label for _, label in self.now).most_common(2)
        if counts[0][1] < REVIEWERS or (len(counts) > 1 and counts[0][1] == counts[1][1]):
            return None
        return counts[0][0]

    @property
    def state(self) -> State:
        if self.settled is not None:
            return "settled"
        return "disputed" if len(self.now) >= REVIEWERS else "waiting"

    @property
    def reviewers(self) -> frozenset[str]:
        return frozenset(reviewer for reviewer, _ in self.now)


@dataclass(frozen=True, slots=True)
class SettledLabel:
    """What a message is called after review, and whether chance chose it or a model."""

    label: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Settled:
    """The settled labels by message id; the digest names them and the state of the record."""

    labels: dict[str, SettledLabel]
    digest: str = ""


NOTHING_SETTLED = Settled({})


def reviews_of(history: History) -> dict[str, Review]:
    """Return the messages that anybody has labelled, by id, in the order of their first label.

    A reviewer's latest label counts; the first ones are what agreement is measured on, since later
    ones may follow a discussion. A message counts as random when any of its labels does: the rule
    belongs to the proposal, and a second reviewer inherits it.
    """
    first: dict[str, dict[str, str]] = {}
    now: dict[str, dict[str, str]] = {}
    rules: dict[str, Rule] = {}
    for event, record in history.labels:
        first.setdefault(record.message_id, {}).setdefault(event.reviewer, record.label)
        now.setdefault(record.message_id, {})[event.reviewer] = record.label
        if rules.get(record.message_id) != "random":
            rules[record.message_id] = record.rule or rules.get(record.message_id, "")
    return {
        each: Review(each, tuple(first[each].items()), tuple(now[each].items()), rules[each])
        for each in first
    }


def settled_labels() -> Settled:
    """Return what review has settled in this workspace: nothing where nobody has labelled yet.

    Raises:
        UserError: the record of feedback is damaged.
    """
    labels = {
        each.message_id: SettledLabel(each.settled, each.rule)
        for each in reviews_of(read()).values()
        if each.settled is not None
    }
    if not labels:
        return NOTHING_SETTLED
    stated = [[message_id, each.label, each.rule] for message_id, each in sorted(labels.items())]
    return Settled(labels, hashlib.sha256(json.dumps(stated).encode()).hexdigest())
