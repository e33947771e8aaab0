"""Files that are neither dataset, intake nor index and still tell of an erased person: mended or removed."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.erasing import Eraser, Row, rewrite, rows_of
from data.governance import neutral
from data.scan import Scan, Sought, scan_file
from data.workspace import write_atomically

REMOVED = (".html", ".htm", ".md", ".log", ".ipynb")  # made to be looked at; nothing reads them again


@dataclass(frozen=True, slots=True)
class Mended:
    """Files that were rewritten without the person, and those that were removed, by name."""

    rewritten: tuple[str, ...]
    removed: tuple[str, ...]


def mend(
    root: Path, names: Collection[str], eraser: Eraser, wanted: Sought, message_ids: Collection[str]
) -> Mended:
    """Take a person out of files that a scan has named.

    Tables lose the rows of erased messages; in texts placeholders become neutral, and a page, log or
    executed notebook that still repeats the erased is removed. Whatever else tells of them (manifests,
    markers, checkpoints, signed ledgers, databases, binaries) stays, and the next scan names it again:
    without it a dataset, an index or a model could no longer be read.
    """
    rewritten, removed = [], []
    for name in sorted(names):
        path = root / name
        if not path.is_file() or _is_signed(path):
            continue
        if path.suffix == ".parquet":
            _mend_table(path, eraser, wanted.held_ids, message_ids)
            rewritten.append(name)
            continue
        is_changed = _mend_text(path, eraser)
        if path.suffix in REMOVED and scan_file(path, wanted, Scan()):
            path.unlink()
            removed.append(name)
        elif is_changed:
            rewritten.append(name)
    return Mended(tuple(rewritten), tuple(removed))


def _is_signed(path: Path) -> bool:
    """Say whether a file is a ledger: changing a line would break the chain of all that follow."""
    with path.open("rb") as handle:
        return path.suffix == ".jsonl" and b'"signature":' in handle.readline()


def _mend_table(path: Path, eraser: Eraser, held: Collection[str], message_ids: Collection[str]) -> None:
    schema = pq.read_schema(path)
    rows = [
        row if row.get("message_id") in held else eraser.cleaned(row)
        for row in rows_of([path])
        if not _is_of(row, message_ids)
    ]
    rewrite(path, pa.Table.from_pylist(rows, schema=schema).to_batches(), schema)


def _is_of(row: Row, message_ids: Collection[str]) -> bool:
    return row.get("message_id") in message_ids


def _mend_text(path: Path, eraser: Eraser) -> bool:
    """Make the placeholders of a text neutral; say whether there were any. What is no text stays."""
    before = path.read_bytes()
    try:
        before.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if b"\0" in before[:8192]:
        return False
    content = before
    for pseudonym in eraser.orders.suppressed:
        plain, instead = (each.strip("[]").encode() for each in (pseudonym, neutral(pseudonym)))
        content = re.sub(re.escape(plain), instead, content, flags=re.IGNORECASE)
    if content == before:
        return False
    with write_atomically(path) as unfinished:
        unfinished.write_bytes(content)
    return True
