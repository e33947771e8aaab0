"""Messages and threads of the dataset that the live index was made of, for those who may read them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.dataset import read_manifest
from data.schema import TABLES, Manifest
from data.workspace import UserError
from serving.holds import Holds
from serving.kept import kept_path
from serving.places import Places, find_places
from serving.scope import Limit, Scope

READ = (
    "message_id", "thread_id", "channel", "sent_at", "sender", "recipients", "subject", "full_text", "text",
    "zones", "language", "attachments", "label",
)  # fmt: skip
MOST = 500  # messages of a thread that are read at once: the newest
Stamp = tuple[int, int, int]


class ChangedDatasetError(Exception):
    """The dataset was written anew since it was opened; what the lookup says is no longer true."""


@dataclass(frozen=True, slots=True, repr=False)
class ThreadPage:
    """Some messages of a thread, oldest first; ``total`` counts all of them that lie in the scope.

    ``older`` is the id before which the thread goes on, None where it begins with this page.
    """

    total: int
    messages: tuple[dict[str, Any], ...]
    older: str | None


@dataclass(frozen=True, slots=True, repr=False)
class WholeThread:
    """A thread that is to be read to its end: all ids that lie in the scope, oldest first, and its messages.

    ``parts`` are read as they are asked for and come as they stand in the dataset, every row group read
    once: page after page in the thread's order, the same groups would be read again for each.
    """

    ids: tuple[str, ...]
    parts: Iterator[list[dict[str, Any]]]


@dataclass(frozen=True, slots=True, repr=False)
class Archive:
    """The redacted messages, read from Parquet as they are asked for."""

    folder: Path
    digest: str
    files: tuple[ds.ParquetFileFragment, ...]
    stamps: tuple[Stamp, ...]
    places: Places
    holds: Holds = field(default_factory=Holds)
    labels: tuple[str, ...] = ()  # that messages have: single ones and sets

    def message(self, message_id: str, scope: Scope) -> dict[str, Any] | None:
        """Return one message, or None when there is none or it lies outside the scope.

        Both look alike and cost alike: where a message stands, and whether it may be seen, is looked up
        before anything of it is read.

        Raises:
            ChangedDatasetError: the dataset was written anew.
        """
        found = self._read(self._seen(self.places.of_message(message_id), scope))
        return found[0] if found else None

    def thread(
        self, thread_id: str, scope: Scope, *, most: int = MOST, before: str = ""
    ) -> ThreadPage | None:
        """Return the newest messages of a thread that lie in the scope, or those before one of them.

        No more than ``most`` are read, however long the thread is; undated ones are its oldest. None
        where there is no such thread, or no such message in it, in the scope.

        Raises:
            ChangedDatasetError: the dataset was written anew.
        """
        seen = self._in_order(thread_id, scope)
        ids = seen["message_id"].to_pylist()
        if not ids or (before and before not in ids):
            return None
        end = ids.index(before) if before else len(ids)
        first = max(0, end - most)
        rows = {row["message_id"]: row for row in self._read(seen.slice(first, end - first))}
        page = tuple(rows[message_id] for message_id in ids[first:end])
        return ThreadPage(len(ids), page, page[0]["message_id"] if first else None)

    def whole_thread(self, thread_id: str, scope: Scope, *, most: int | None = None) -> WholeThread | None:
        """Return a thread to be read to its end, or ``most`` of its messages, spread evenly over it.

        None where there is no such thread in the scope.

        Raises:
            ChangedDatasetError: the dataset was written anew; also while ``parts`` are read.
        """
        seen = self._in_order(thread_id, scope)
        if not seen.num_rows:
            return None
        ids = tuple(seen["message_id"].to_pylist())
        if most is not None and most < len(ids):
            seen = seen.take([place * (len(ids) - 1) // max(1, most - 1) for place in range(most)])
        return WholeThread(ids, self._parts(seen))

    def batches(self, columns: Sequence[str], *scopes: Limit) -> Iterator[pa.RecordBatch]:
        """Yield some columns of all messages that lie in every one of the scopes, a few rows at a time.

        Raises:
            ChangedDatasetError: the dataset was written anew.
        """
        condition = pc.scalar(True)
        for scope in scopes:
            condition &= scope.condition(self.places.copied(scope.custodians))
        for number, file in enumerate(self.files):
            self._require_unchanged(number)
            yield from file.to_batches(
                schema=TABLES["messages"],
                columns=list(columns),
                filter=condition,
                batch_readahead=1,
                fragment_readahead=1,
            )

    def close(self) -> None:
        self.places.close()

    def _seen(self, places: pa.Table, scope: Scope) -> pa.Table:
        """Return the places of messages that lie in the scope."""
        for number in range(len(self.files)):  # first: what is refused must not depend on what there is
            self._require_unchanged(number)
        ids = places["message_id"].to_pylist()
        copied = self.places.copied(scope.custodians, ids) if scope.custodians else ()
        return places.filter(scope.condition(copied))

    def _in_order(self, thread_id: str, scope: Scope) -> pa.Table:
        """Return the places of a thread's messages that lie in the scope, oldest first."""
        seen = self._seen(self.places.of_thread(thread_id), scope)
        return seen.sort_by([("sent_at", "ascending", "at_start"), ("message_id", "ascending")])

    def _read(self, places: pa.Table) -> list[dict[str, Any]]:
        return [row for part in self._parts(places) for row in part]

    def _parts(self, places: pa.Table) -> Iterator[list[dict[str, Any]]]:
        """Yield whole messages, in no order, from no row group but theirs, ``MOST`` of them at a time."""
        groups: dict[int, set[int]] = defaultdict(set)
        for number, group in zip(places["file"].to_pylist(), places["row_group"].to_pylist(), strict=True):
            groups[number].add(group)
        condition = pc.field("message_id").isin(places["message_id"].combine_chunks())
        for number, wanted in groups.items():
            self._require_unchanged(number)
            batches = (
                self.files[number]
                .subset(row_group_ids=sorted(wanted))
                .to_batches(
                    schema=TABLES["messages"],
                    columns=list(READ),
                    filter=condition,
                    batch_size=MOST,
                    batch_readahead=1,
                    fragment_readahead=1,
                )
            )
            for batch in batches:
                yield [
                    row | {"sent_at": row["sent_at"].isoformat() if row["sent_at"] else None}
                    for row in batch.to_pylist()
                ]

    def _require_unchanged(self, number: int) -> None:
        try:
            unchanged = _stamp(self.files[number].path) == self.stamps[number]
        except FileNotFoundError:
            unchanged = False
        if not unchanged:
            raise ChangedDatasetError


def open_archive(dataset: str, indexed: str) -> Archive | None:
    """Open the dataset that an index was made of, where it lay or is kept; ``indexed`` is its digest.

    None when both are gone or hold another dataset by now: search and answers work without it.

    Raises:
        UserError: there is no room for the lookup of its messages.
    """
    for folder in (Path(dataset), kept_path("dataset", indexed)):
        try:
            manifest = read_manifest(folder)
        except UserError:
            continue
        if indexed in manifest.names:
            return _opened(folder, manifest)
    return None


def _opened(folder: Path, manifest: Manifest) -> Archive:
    opened = ds.dataset(folder / "messages", schema=TABLES["messages"], format="parquet")
    files = tuple(sorted(opened.get_fragments(), key=lambda file: str(file.path)))
    stamps = tuple(_stamp(file.path) for file in files)
    places = find_places(folder, files)
    return Archive(folder, manifest.digest, files, stamps, places, labels=tuple(manifest.labels))


def _stamp(path: str) -> Stamp:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
