"""Conversations: messages joined by what they answer, as far as their identifiers tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ties:
    """What ties one message to others: keyed names, never the identifiers themselves."""

    key: str
    parents: tuple[str, ...]
    topic: str
    is_reply: bool


class Groups:
    """Disjoint sets of whole numbers (union-find); a set is known by its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.of(one), self.of(other)))
        self._parent[high] = low

    def of(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    def add(self) -> int:
        """Add a member that stands alone, and return it."""
        self._parent.append(len(self._parent))
        return len(self._parent) - 1


def threads(ties: Sequence[Ties]) -> tuple[list[str], Groups]:
    """Return every message's thread id, and the groups they form, for messages given in rank order.

    A thread is everything that references connect, also through messages that the archive lacks.
    Its id is the keyed name of the root that its earliest message states, or of that message.
    """
    groups = Groups(len(ties))
    members: dict[str, int] = {}
    for rank, tie in enumerate(ties):
        for name in (tie.key, *tie.parents):
            if name not in members:
                members[name] = groups.add()
            groups.join(rank, members[name])
    _join_by_topic(ties, groups)
    roots = [groups.of(rank) for rank in range(len(ties))]
    return [(ties[root].parents or (ties[root].key,))[0] for root in roots], groups


def _join_by_topic(ties: Sequence[Ties], groups: Groups) -> None:
    """Join replies that lost their references to the messages of the same subject and people.

    Only where such a reply exists: a daily report under one subject is no conversation.
    """
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for rank, tie in enumerate(ties):
        if tie.topic and not tie.parents:
            by_topic[tie.topic].append(rank)
    for ranks in by_topic.values():
        if any(ties[rank].is_reply for rank in ranks):
            for rank in ranks[1:]:
                groups.join(ranks[0], rank)
