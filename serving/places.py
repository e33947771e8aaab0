"""Where each message stands in the dataset, by its id and by its thread: looked up, never looked for.

Built once for a dataset, when its bundle is opened, in a private SQLite database: it is on the disk as
soon as it outgrows its cache, has no name there, and is gone when it is closed or the process dies.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from data.schema import TABLES, top_of
from data.workspace import UserError

CACHE_KIB = 32_768
TABLES_SQL = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE message (message_id TEXT, thread_id TEXT, file INTEGER, row_group INTEGER);
    CREATE TABLE copy (message_id TEXT, custodian TEXT);
"""
INDEXES_SQL = """
    CREATE INDEX by_message ON message (message_id);
    CREATE INDEX by_thread ON message (thread_id);
    CREATE INDEX by_copy ON copy (message_id);
    CREATE INDEX by_custodian ON copy (custodian);
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One message: its file, by number, and the row group in it."""

    message_id: str
    file: int
    row_group: int


class Places:
    """The lookup of one dataset; safe from any thread until it is closed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def of_message(self, message_id: str) -> list[Place]:
        return self._places("message_id", message_id)

    def of_thread(self, thread_id: str) -> list[Place]:
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
        with self._lock:
            self._connection.close()

    def _places(self, column: str, value: str) -> list[Place]:
        asked = f"SELECT message_id, file, row_group FROM message WHERE {column} = ?"  # noqa: S608 (ours)
        return [Place(*row) for row in self._rows(asked, [value])]

    def _rows(self, asked: str, given: Sequence[str]) -> list[Any]:
        with self._lock:
            return self._connection.execute(asked, given).fetchall()


def find_places(dataset: Path, files: Sequence[ds.ParquetFileFragment]) -> Places:
    """Read the ids of all messages, a row group at a time; ``files`` are numbered as they are given.

    Raises:
        UserError: there is no room for the lookup in the folder for temporary files.
    """
    connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.executescript(TABLES_SQL)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?)", _messages(files))
        connection.executemany("INSERT INTO copy VALUES (?, ?)", _copies(dataset))
        connection.execute("COMMIT")
        connection.executescript(INDEXES_SQL)
    except sqlite3.OperationalError as error:
        connection.close()
        raise UserError(
            f"no lookup of the messages of {dataset} can be written ({error}); free space for temporary "
            "files, or set SQLITE_TMPDIR to another folder"
        ) from error
    return Places(connection)


def _messages(files: Sequence[ds.ParquetFileFragment]) -> Iterator[tuple[str, str, int, int]]:
    for number, file in enumerate(files):
        for group in file.row_groups:
            part = file.subset(row_group_ids=[group.id])
            table = part.to_table(columns=["message_id", "thread_id"], schema=TABLES["messages"])
            for message_id, thread_id in zip(*(column.to_pylist() for column in table.columns), strict=True):
                yield message_id, thread_id, number, group.id


def _copies(dataset: Path) -> Iterator[tuple[str, str]]:
    copies = ds.dataset(dataset / "duplicates", schema=TABLES["duplicates"], format="parquet")
    for batch in copies.to_batches(columns=["duplicate_of", "source"]):
        for message_id, source in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield message_id, top_of(source)
