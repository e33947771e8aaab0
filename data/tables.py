"""Parquet files written batch by batch: whole or not at all, and never more of one in memory than a group."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.workspace import write_atomically

GROUP_ROWS = 5_000
GROUP_BYTES = 16 << 20


def write_rows(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write the batches to a new file, or in place of the one that stands there; return how many rows."""
    rows = held_rows = held_bytes = 0
    held: list[pa.RecordBatch] = []
    with write_atomically(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for batch in batches:
            held.append(batch)
            held_rows, held_bytes = held_rows + batch.num_rows, held_bytes + batch.nbytes
            if held_rows >= GROUP_ROWS or held_bytes >= GROUP_BYTES:
                rows += held_rows
                writer.write_table(pa.Table.from_batches(held, schema))
                held, held_rows, held_bytes = [], 0, 0
        writer.write_table(pa.Table.from_batches(held, schema))
    return rows + held_rows
