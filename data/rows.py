"""Single rows of a prepared dataset, and whether all of them are still those that a model was made of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.dataset import read_manifest, read_messages
from data.redact import PLACEHOLDER
from data.schema import TABLES
from data.workspace import locate

BATCH_ROWS = 5_000
LEARNT = ("message_id", "thread_id", "channel", "subject", "text", "label", "split")
TEXTS = frozenset({"subject", "text", "full_text", "zones", "attachments", "question", "answer"})


def find_rows(prepared: str | Path, table: str, column: str, value: str) -> list[dict[str, Any]]:
    """Return the rows of a table whose column has the value, without their texts.

    Raises:
        UserError: there is no complete dataset in the folder.
    """
    read_manifest(prepared)
    wanted = [name for name in TABLES[table].names if name not in TEXTS]
    dataset = ds.dataset(locate(prepared) / table, schema=TABLES[table], format="parquet")
    rows: list[dict[str, Any]] = dataset.to_table(
        columns=wanted, filter=pc.field(column) == value
    ).to_pylist()
    return rows


def rows_digest(prepared: str | Path) -> str:
    """Return the SHA-256 of what models learn from, as it stands in the tables, however these are cut.

    The manifest's digest names what was prepared; this one tells whether the rows are still those.
    Pseudonyms count by their kind alone, as models see them: another key gives the same digest.

    Raises:
        UserError: there is no complete dataset in the folder.
    """
    digest = hashlib.sha256()
    for batch in read_messages(prepared, columns=LEARNT).to_batches(BATCH_ROWS):
        for row in batch.to_pylist():
            line = json.dumps(list(row.values()), ensure_ascii=False)
            digest.update(PLACEHOLDER.sub(r"[\1]", line).encode("utf-8", "replace") + b"\n")
    return digest.hexdigest()
