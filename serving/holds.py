"""Which messages are under a legal hold: the holds as they are now, on the messages as they were indexed.

Holds change without the index being built again, and what they state (a person in any field, where a
message or a copy of it lies) is not in Milvus. So the messages of each are found in the dataset, once for
every change, and a search is limited to them by id, inside the search.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.retention import NAMED, KeyedHold, remembered_holds
from data.schema import TABLES
from serving.limits import DeadlineError, seconds_left
from serving.scope import Among, Limit

if TYPE_CHECKING:
    from serving.archive import Archive

MOST_HELD = 10_000  # ids in the condition of one search: about 300 kB
FIND_S = 120.0
PLACED = ("message_id", "channel", "source", "sent_at")
Held = dict[str, pa.Array]


class TooManyHeldError(Exception):
    """The ids of held messages are too many for the condition of a search."""


class Holds:
    """The held messages of one dataset, found again whenever the holds have changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: tuple[KeyedHold, ...] | None = None
        self._found: Future[Held] = Future()

    def of(self, archive: Archive, names: Sequence[str] = ()) -> pa.Array:
        """Return the ids of messages that are under one of these holds, of all when none is named.

        Raises:
            KeyError: there is no hold of a name now.
            DeadlineError: they are not found in the request's time; the next one will have them.
            ChangedDatasetError: the dataset was written anew.
            UserError: the record of the holds is damaged.
        """
        held = self._all(archive)
        chosen = [held[name] for name in names or held]
        return pc.unique(pa.chunked_array(chosen, pa.string()))

    def _all(self, archive: Archive) -> Held:
        holds = remembered_holds()
        with self._lock:
            failed = self._found.done() and self._found.exception() is not None
            if holds != self._of or failed:
                self._of, self._found = holds, Future()
                finding = threading.Thread(
                    target=_find, args=(archive, holds, self._found), name="holds", daemon=True
                )
                finding.start()
            found = self._found
        try:
            return found.result(seconds_left(FIND_S))
        except FutureTimeoutError:
            raise DeadlineError from None


def few_enough(archive: Archive, scopes: Sequence[Limit]) -> tuple[Limit, ...]:
    """Return the scopes with ids that a condition can carry: those alone that lie in the other scopes.

    Raises:
        TooManyHeldError: they are too many still.
    """
    others = [scope for scope in scopes if not isinstance(scope, Among)]
    fewer: list[Limit] = list(others)
    for scope in scopes:
        if isinstance(scope, Among):
            ids = scope.message_ids
            if len(ids) > MOST_HELD:
                batches = archive.batches(["message_id"], *others, Among(ids))
                ids = pa.chunked_array([batch["message_id"] for batch in batches], pa.string())
            if len(ids) > MOST_HELD:
                raise TooManyHeldError
            fewer.append(Among(ids, scope.inside))
    return tuple(fewer)


def _find(archive: Archive, holds: Sequence[KeyedHold], found: Future[Held]) -> None:
    try:
        found.set_result(held_messages(archive, holds))
    except BaseException as error:  # whoever asked is told
        found.set_exception(error)


def held_messages(archive: Archive, holds: Sequence[KeyedHold]) -> Held:
    """Return the ids of the messages of each hold: its own, and those of which a copy is held.

    A copy is judged as an erasure judges it: by its place and by what it repeats, without a date.
    """
    copies: dict[str, set[str]] = defaultdict(set)
    for message_id, source in _copies(archive):
        copies[message_id].add(source)
    columns = [*PLACED, *(NAMED if any(hold.pseudonyms for hold in holds) else ())]
    held: dict[str, list[str]] = {hold.name: [] for hold in holds}
    for batch in archive.batches(columns) if holds else ():
        for row in batch.to_pylist():
            message_id = row["message_id"]
            alike = [row | {"source": source, "sent_at": None} for source in copies.get(message_id, ())]
            for hold in holds:
                if any(map(hold.covers, [row, *alike])):
                    held[hold.name].append(message_id)
    return {name: pa.array(ids, pa.string()) for name, ids in held.items()}


def _copies(archive: Archive) -> Iterator[tuple[str, str]]:
    copies = ds.dataset(archive.folder / "duplicates", schema=TABLES["duplicates"], format="parquet")
    for batch in copies.to_batches(columns=["duplicate_of", "source"]):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
