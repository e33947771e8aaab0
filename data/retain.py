"""What was taken in and may not stay, expired or of an erased person, becomes a counted reject."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.erasing import BATCH_ROWS, Eraser, Row, Tally, rewrite
from data.intake import TAKEN_IN

PROVENANCE = ("source", "locator", "byte_start", "byte_end", "source_sha256")
STAGE = {"expired": "retain", "erased": "erase"}


@dataclass(frozen=True, slots=True)
class Retained:
    """What the orders did to what was taken in."""

    expired: int
    erased: int
    held: dict[str, int]
    undated: int
    message_ids: frozenset[str] = field(default=frozenset(), compare=False)  # of what expired or was erased

    def __str__(self) -> str:
        held = "".join(f", {count:,} held by {name}" for name, count in sorted(self.held.items()))
        return f"{self.expired:,} expired, {self.erased:,} erased{held}; {self.undated:,} without a date"


def retain(taken: Path, eraser: Eraser) -> Retained:
    """Turn the rows that may not stay into rejects, in any folder of TAKEN_IN files, and clean the others."""
    if eraser.orders.asks_for_nothing:
        return Retained(0, 0, {}, 0)
    tally = Tally()
    for file in sorted(taken.glob("*.parquet")):
        retain_file(file, eraser, tally)
    return Retained(
        tally.fates["expired"],
        tally.fates["erased"],
        dict(tally.holds),
        tally.undated,
        frozenset(tally.message_ids),
    )


def retain_file(file: Path, eraser: Eraser, tally: Tally) -> bool:
    """Apply the orders to one file of TAKEN_IN rows, whatever columns it has besides; say if it changed."""
    schema = pq.read_schema(file)
    before = (tally.fates["expired"], tally.fates["erased"], tally.cleaned)
    rewrite(file, _batches(file, schema, eraser, tally), schema)
    return before != (tally.fates["expired"], tally.fates["erased"], tally.cleaned)


def _batches(file: Path, schema: pa.Schema, eraser: Eraser, tally: Tally) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(BATCH_ROWS):
            rows = batch.to_pylist()
            after = [_retained(row, eraser, tally) for row in rows]
            yield batch if after == rows else pa.RecordBatch.from_pylist(after, schema=schema)


def _retained(row: Row, eraser: Eraser, tally: Tally) -> Row:
    if row["outcome"] != "message":
        return row
    fate, hold = eraser.fate(row)
    tally.fates[fate] += 1
    tally.undated += row["sent_at"] is None
    if fate == "held":
        tally.holds[hold] += 1
        tally.held_ids.add(row["message_id"])
        return row
    if fate != "kept":
        tally.message_ids.add(row["message_id"])
        others = {name: eraser.clean(value) for name, value in row.items() if name not in TAKEN_IN.names}
        return {**_reject(row, fate), **others}
    cleaned = eraser.cleaned(row) if eraser.orders.suppressed else row
    tally.cleaned += cleaned != row
    return cleaned


def _reject(row: Row, fate: str) -> Row:
    """Return where the message stood and why it went: nothing of what it said, nobody whom it named."""
    kept = {name: row[name] for name in PROVENANCE}
    return {**dict.fromkeys(row), **kept, "outcome": "reject", "reason": fate, "stage": STAGE[fate]}
