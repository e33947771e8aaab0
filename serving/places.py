"""Where each message stands in the dataset, by its id and by its thread: looked up, never looked for.

Built once for a dataset, when its bundle is opened, in a private SQLite database: it is on the disk, has
no name there, and is gone when it is closed or the process dies.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from data.schema import INSTANT, TABLES, top_of
from data.workspace import UserError

READERS = 8  # lookups that run at the same time; more wait for one of them
CACHE_KIB = 32_768  # for the writing alone: afterwards the system's own cache serves all readers
LIMITED_BY = ("channel", "label", "language", "sent_at", "source")  # all that a scope asks for
PLACES = pa.schema(
    [
        ("message_id", pa.string()),
        ("file", pa.int32()),
        ("row_group", pa.int32()),
        ("channel", pa.string()),
        ("label", pa.string()),
        ("language", pa.string()),
        ("sent_at", INSTANT),
        ("source", pa.string()),  # its top-level folder or file alone: what a custodian is called
    ]
)
TABLES_SQL = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE message (message_id TEXT, thread_id TEXT, file INTEGER, row_group INTEGER,
                          channel TEXT, label TEXT, language TEXT, sent_at INTEGER, source TEXT);
    CREATE TABLE copy (message_id TEXT, custodian TEXT);
"""
INDEXES_SQL = """
    CREATE INDEX by_message ON message (message_id);
    CREATE INDEX by_thread ON message (thread_id);
    CREATE INDEX by_copy ON copy (message_id);
    CREATE INDEX by_custodian ON copy (custodian);
"""


class Places:
    """The lookup of one dataset; threads look up side by side, each with a reader of its own."""

    def __init__(self, readers: Sequence[sqlite3.Connection]) -> None:
        self.readers = tuple(readers)
        self._free: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for reader in readers:
            self._free.put(reader)

    def of_message(self, message_id: str) -> pa.Table:
        """Return the place of a message and what limits ask of it, by ``PLACES``: one row, or none."""
        return self._places("message_id", message_id)

    def of_thread(self, thread_id: str) -> pa.Table:
        """Return the same of all messages of a thread, in no order."""
        return self._places("thread_id", thread_id)

    def copied(self, custodians: Sequence[str], among: Sequence[str] | None = None) -> list[str]:
        """Return the messages of which one of the custodians holds a copy: all, or those of ``among``."""
        asked = "SELECT DISTINCT message_id FROM copy WHERE custodian IN (SELECT value FROM json_each(?))"
        given = [json.dumps(list(custodians))]
        if among is not None:
            asked += " AND message_id IN (SELECT value FROM json_each(?))"
            given.append(json.dumps(list(among)))
        return [message_id for (message_id,) in self._rows(asked, given)]

    def close(self) -> None:
        """Close every reader once the lookup that has it is done."""
        for reader in [self._free.get() for _ in self.readers]:
            reader.close()
            self._free.put(reader)  # whoever comes later fails instead of waiting

    def _places(self, column: str, value: str) -> pa.Table:
        asked = f"SELECT {', '.join(PLACES.names)} FROM message WHERE {column} = ?"  # noqa: S608 (ours)
        columns = list(zip(*self._rows(asked, [value]), strict=True)) or [()] * len(PLACES)
        return pa.table([pa.array(each, of.type) for each, of in zip(columns, PLACES, strict=True)], PLACES)

    def _rows(self, asked: str, given: Sequence[str]) -> list[Any]:
        reader = self._free.get()
        try:
            return reader.execute(asked, given).fetchall()
        finally:
            self._free.put(reader)


def find_places(dataset: Path, files: Sequence[ds.ParquetFileFragment]) -> Places:
    """Read what is known of all messages but their words, a row group at a time; ``files`` are numbered
    as they are given.

    Raises:
        UserError: there is no room for the lookup in the folder for temporary files.
    """
    try:
        writer, readers = _open_nameless()
    except OSError as error:
        raise _no_room(dataset, error) from error
    try:
        writer.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        writer.executescript(TABLES_SQL)
        writer.execute("BEGIN")
        writer.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _messages(files))
        writer.executemany("INSERT INTO copy VALUES (?, ?)", _copies(dataset))
        writer.execute("COMMIT")
        writer.executescript(INDEXES_SQL)
    except sqlite3.OperationalError as error:
        for reader in readers:
            reader.close()
        raise _no_room(dataset, error) from error
    finally:
        writer.close()
    return Places(readers)


def _open_nameless() -> tuple[sqlite3.Connection, list[sqlite3.Connection]]:
    """Open one file for writing and for every reader, and take its name away before anything is in it.

    A reader looks at the file at its first question, when all is written.
    """
    handle, name = tempfile.mkstemp(prefix="mailroom-places-", dir=os.environ.get("SQLITE_TMPDIR"))
    os.close(handle)
    address = f"{Path(name).resolve().as_uri()}?mode=ro"
    try:
        writer = sqlite3.connect(name, isolation_level=None)
        readers = [sqlite3.connect(address, uri=True, check_same_thread=False) for _ in range(READERS)]
    finally:
        os.unlink(name)
    return writer, readers


def _no_room(dataset: Path, error: Exception) -> UserError:
    return UserError(
        f"no lookup of the messages of {dataset} can be written ({error}); free space for temporary "
        "files, or set SQLITE_TMPDIR to another folder"
    )


def _messages(files: Sequence[ds.ParquetFileFragment]) -> Iterator[tuple[Any, ...]]:
    for number, file in enumerate(files):
        for group in file.row_groups:
            part = file.subset(row_group_ids=[group.id])
            table = part.to_table(columns=["message_id", "thread_id", *LIMITED_BY], schema=TABLES["messages"])
            place = table.schema.get_field_index("sent_at")
            table = table.set_column(place, "sent_at", table["sent_at"].cast(pa.int64()))
            for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
                message_id, thread_id, channel, label, language, sent_at, source = row
                yield (
                    *(message_id, thread_id, number, group.id),
                    *(channel, label, language, sent_at, top_of(source)),
                )


def _copies(dataset: Path) -> Iterator[tuple[str, str]]:
    copies = ds.dataset(dataset / "duplicates", schema=TABLES["duplicates"], format="parquet")
    for batch in copies.to_batches(columns=["duplicate_of", "source"]):
        for message_id, source in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield message_id, top_of(source)
