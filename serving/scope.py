"""Which messages: the limits of a caller and the filters of a search, in one form for both.

A limit is applied where messages are found, inside the search of Milvus and in the filter of Parquet,
and never to what has already been found: what somebody may not see has no rank, no score and no count.
"""

from __future__ import annotations

import functools
import hashlib
import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from data.label_sets import members
from data.schema import INSTANT, top_of

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

    def with_sets(self, known: Iterable[str]) -> Scope:
        """Return the scope with those of the known sets of labels that one of its labels is in."""
        wanted = set(self.labels)
        sets = (label for label in sorted(known) if wanted & set(members(label)))
        return replace(self, labels=tuple(dict.fromkeys((*self.labels, *sets))))

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

    def condition(self, copied: Sequence[str] = ()) -> pc.Expression:
        """Return the condition as messages of a dataset are filtered by it.

        ``copied`` are the messages of which one of the custodians holds a copy.
        """
        parts = [
            pc.field(name).isin(pa.array(values, pa.string()))
            for name, values in (
                ("channel", self.channels),
                ("label", self.labels),
                ("language", self.languages),
            )
            if values
        ]
        if self.custodians:
            parts.append(_lies_with(self.custodians, copied))
        if self.since:
            parts.append(pc.field("sent_at") >= _midnight(self.since))
        if self.until:
            parts.append(pc.field("sent_at") < _midnight(self.until))
        return functools.reduce(operator.and_, parts, pc.scalar(True))


@dataclass(frozen=True, slots=True, repr=False)
class Among:
    """Messages that are named one by one, or all but these: what no property of a message says."""

    message_ids: pa.Array
    inside: bool = True

    def expression(self) -> str:
        """Return the condition as Milvus filters by it; keep the ids few."""
        if not len(self.message_ids):
            return "chunk_id == ''" if self.inside else EVERYTHING
        return f"message_id {'in' if self.inside else 'not in'} {json.dumps(self.message_ids.to_pylist())}"

    def condition(self, _copied: Sequence[str] = ()) -> pc.Expression:
        """Return the condition as messages of a dataset are filtered by it."""
        named = pc.field("message_id").isin(self.message_ids)
        return named if self.inside else ~named

    @property
    def custodians(self) -> tuple[str, ...]:
        return ()

    @property
    def is_everything(self) -> bool:
        return not self.inside and not len(self.message_ids)


Limit = Scope | Among


def within(*scopes: Limit) -> str:
    """Return the condition of Milvus for messages that lie in every one of the scopes."""
    limiting = [scope.expression() for scope in scopes if not scope.is_everything]
    return " and ".join(f"({each})" for each in limiting) or EVERYTHING


def custodian_code(name: str) -> str:
    """Return what stands for a custodian in the index: a folder's name may be a person's, or hostile."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _among(field: str, values: tuple[str, ...]) -> list[str]:
    """Return the condition that a field has one of the values; JSON's quoting is Milvus' quoting."""
    return [f"{field} in {json.dumps(list(values), ensure_ascii=False)}"] if values else []


def _lies_with(custodians: Sequence[str], copied: Sequence[str]) -> pc.Expression:
    """Return the condition that a message, or a copy of it, lies in one of the top-level folders or files."""
    source = pc.field("source")
    found = pc.field("message_id").isin(pa.array(copied, pa.string()))
    for name in custodians:
        if top_of(name) != name or name != name.encode(errors="ignore").decode():
            continue  # no source begins so, and a longer name must not open a part of a folder
        found |= (source == name) | pc.starts_with(source, f"{name}/") | pc.starts_with(source, f"{name}!")
    return found


def _midnight(day: date) -> pa.Scalar:
    return pa.scalar(datetime(day.year, day.month, day.day, tzinfo=UTC), INSTANT)
