"""Which messages: the limits of a caller and the filters of a search, in one form for both.

A limit is applied where messages are found, inside the search of Milvus and in the filter of Parquet,
and never to what has already been found: what somebody may not see has no rank, no score and no count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

EVERYTHING = "chunk_id != ''"


@dataclass(frozen=True, slots=True)
class Scope:
    """Messages that meet every condition; an empty condition is met by all.

    ``custodians`` are the top-level folders or files of the archive that hold a message or a copy of
    it. ``since`` and ``until`` are whole days in UTC, the first included and the second not; a message
    without a date lies in no period.
    """

    channels: tuple[str, ...] = ()
    custodians: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None

    @property
    def is_everything(self) -> bool:
        return not any(getattr(self, field.name) for field in fields(self))

    def expression(self) -> str:
        """Return the condition as Milvus filters by it."""
        parts = [
            *_among("channel", self.channels),
            *_among("label", self.labels),
            *_among("language", self.languages),
        ]
        if self.custodians:
            codes = [custodian_code(name) for name in self.custodians]
            parts.append(f"array_contains_any(custodians, {json.dumps(codes)})")
        if self.since or self.until:
            parts.append("sent_at != ''")
        if self.since:
            parts.append(f'sent_at >= "{self.since.isoformat()}"')
        if self.until:
            parts.append(f'sent_at < "{self.until.isoformat()}"')
        return " and ".join(parts) or EVERYTHING

    def holds(self, message: Mapping[str, Any], custodians: Sequence[str]) -> bool:
        """Say whether a message of the dataset lies in the scope; ``custodians`` are all that hold it."""
        sent = message["sent_at"]
        return (
            (not self.channels or message["channel"] in self.channels)
            and (not self.labels or message["label"] in self.labels)
            and (not self.languages or message["language"] in self.languages)
            and (not self.custodians or not set(self.custodians).isdisjoint(custodians))
            and (self.since is None or (sent is not None and sent.date() >= self.since))
            and (self.until is None or (sent is not None and sent.date() < self.until))
        )


def within(*scopes: Scope) -> str:
    """Return the condition of Milvus for messages that lie in every one of the scopes."""
    limiting = [scope.expression() for scope in scopes if not scope.is_everything]
    return " and ".join(f"({each})" for each in limiting) or EVERYTHING


def custodian_code(name: str) -> str:
    """Return what stands for a custodian in the index: a folder's name may be a person's, or hostile."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _among(field: str, values: tuple[str, ...]) -> list[str]:
    """Return the condition that a field has one of the values; JSON's quoting is Milvus' quoting."""
    return [f"{field} in {json.dumps(list(values), ensure_ascii=False)}"] if values else []
