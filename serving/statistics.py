"""How many messages there are, by what is known of them; what lies outside a scope is not counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from serving.archive import Archive
from serving.limits import seconds_left
from serving.scope import Limit

By = Literal["channel", "month", "language", "label", "sender"]
MOST_GROUPS = 100_000
COUNT_S = 60.0


class TooManyGroupsError(Exception):
    """There are more groups than a statistic can hold."""


class Group(BaseModel):
    """Messages that are alike in what they were grouped by."""

    by: dict[By, str | None] = Field(description="null: the message does not say")
    count: int


class Statistics(BaseModel):
    """Counts of messages, the largest groups first."""

    total: int
    groups: list[Group]
    groups_left_out: int = Field(description="beyond the limit that was asked for")


def count_messages(archive: Archive, *scopes: Limit, by: Sequence[By], limit: int) -> Statistics:
    """Count the messages that lie in every one of the scopes.

    Raises:
        TooManyGroupsError: there are more than ``MOST_GROUPS`` groups.
        DeadlineError: the request's time was over before all were counted.
        ChangedDatasetError: the dataset was written anew.
    """
    columns = ["sent_at" if name == "month" else name for name in by] or ["message_id"]
    counted: Counter[tuple[str | None, ...]] = Counter()
    total = 0
    for batch in archive.batches(columns, *scopes):
        seconds_left(COUNT_S)
        total += batch.num_rows
        if by:
            counted.update(_groups(batch, by))
        if len(counted) > MOST_GROUPS:
            raise TooManyGroupsError
    largest = counted.most_common()  # equal counts as they first occur: pseudonyms have no order
    return Statistics(
        total=total,
        groups=[
            Group(by=dict(zip(by, values, strict=True)), count=count) for values, count in largest[:limit]
        ],
        groups_left_out=max(0, len(largest) - limit),
    )


def _groups(batch: pa.RecordBatch, by: Sequence[By]) -> dict[tuple[str | None, ...], int]:
    columns = {name: _month(batch["sent_at"]) if name == "month" else batch[name] for name in by}
    rows = pa.table(columns).group_by(list(by), use_threads=False).aggregate([([], "count_all")]).to_pylist()
    return {tuple(row[name] or None for name in by): row["count_all"] for row in rows}


def _month(sent_at: pa.Array) -> pa.Array:
    """Return the month in UTC, as 2026-03; without a zone, as no image carries a table of time zones."""
    return pc.strftime(sent_at.cast(pa.timestamp("us")), format="%Y-%m")
