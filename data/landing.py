"""Where a stream lands: every micro-batch a folder of redacted rows, written once, whatever is killed when.

Spark's checkpoint says which events a micro-batch holds, and it is written before the batch is. A batch
that was interrupted holds the same events when it is run again, and one that has landed is left alone.
"""

from __future__ import annotations

import fcntl
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.events import take_event
from data.intake import TAKEN_IN, batched
from data.progress import stage
from data.spark import session
from data.tables import GROUP_ROWS, write_rows
from data.workspace import UserError, home, secret, write_atomically

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming import StreamingQuery

    from data.kafka import Topic

MARK, BATCHES, CHECKPOINT = "stream.json", "batches", "checkpoint"
PARTITION_BITS = 44  # of an event's number: the offset fills the bits below
MOST_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of the events of a stream: each is one of these."""

    events: int
    files: int
    delivered_again: int
    replaced: int
    dead_letters: int

    def __str__(self) -> str:
        return (
            f"{self.events:,} events = {self.files:,} files + {self.delivered_again:,} delivered again"
            f" + {self.replaced:,} replaced + {self.dead_letters:,} dead letters"
        )


def is_landing(folder: Path) -> bool:
    return (folder / MARK).is_file()


def default_landing(topic: str) -> Path:
    return home() / "stream" / topic


def land(
    topic: Topic,
    folder: Path,
    *,
    allowed: Sequence[str] = (),
    most: int = MOST_EVENTS,
    follow: bool = False,
    spark_master: str = "local[*]",
) -> Landed:
    """Take in the events of a topic that have not landed yet; ``follow`` goes on until interrupted.

    ``allowed`` are the prefixes below which files named by events may be read, ``most`` how many events
    make a micro-batch.

    Raises:
        UserError: no broker, no topic, or a folder that holds another stream or has lost its checkpoint.
    """
    from data.kafka import KafkaSource, bounds

    key = secret("redaction")
    bounds(topic)
    _mark(folder, topic, key)
    with _alone(folder), session(spark_master) as spark:
        spark.dataSource.register(KafkaSource)
        options = {
            "topic": topic.name,
            "broker": topic.broker,
            "settings": json.dumps(dict(topic.settings)),
            "most": str(most),
        }
        stream = spark.readStream.format("mailroom-kafka").options(**options).load()
        writer = (
            stream.writeStream.option("checkpointLocation", (folder / CHECKPOINT).as_uri())
            .queryName("mailroom-stream")
            .foreachBatch(_landing(folder, topic.name, tuple(allowed), key))
        )
        writer = writer.trigger(processingTime="2 seconds") if follow else writer.trigger(availableNow=True)
        _wait(writer.start(), folder)
    return landed(folder)


def landed(folder: Path) -> Landed:
    """Count what has landed so far."""
    return _chosen(_events(_rows(folder)))[0]


def gather(folder: Path, taken: Path) -> Landed:
    """Write the rows that count below ``taken``: of every file its last version, and each but once.

    Raises:
        UserError: nothing has landed, or it was redacted with another key.
    """
    stated = json.loads((folder / MARK).read_text(encoding="utf-8"))
    if stated["key"] != _fingerprint(secret("redaction")):
        raise UserError(
            f"{folder} was redacted with another key; delete the folder and land the stream again"
        )
    rows = _rows(folder)
    counts, chosen = _chosen(_events(rows))
    if not len(chosen):
        raise UserError(f"nothing has landed in {folder}; run: mailroom stream {stated['topic']}")
    wanted = pc.field("event").isin(pa.array(chosen, pa.int64())) & (pc.field("outcome") != "event")
    taken.mkdir()
    write_rows(taken / "landed.parquet", TAKEN_IN, rows.to_batches(filter=wanted, batch_size=GROUP_ROWS))
    return counts


def _mark(folder: Path, topic: Topic, key: bytes) -> None:
    """Say whose landing this is, or check that it is this stream's.

    The mark comes first: whatever is killed after it, the folder is known for what it is.
    """
    mine = {"topic": topic.name, "key": _fingerprint(key)}
    if not is_landing(folder):
        if folder.exists() and not all(map(_is_of_a_beginning, folder.iterdir())):
            raise UserError(f"{folder} exists and is no landing of a stream; choose another folder")
        with write_atomically(folder / MARK) as path:
            path.write_text(json.dumps(mine) + "\n", encoding="utf-8")
    if json.loads((folder / MARK).read_text(encoding="utf-8")) != mine:
        raise UserError(
            f"{folder} holds another topic, or was redacted with another key; choose another folder"
        )
    if (folder / CHECKPOINT).is_dir() and not (folder / BATCHES).is_dir():
        raise UserError(f"{folder} has lost its batches; delete the folder and land the stream again")
    (folder / BATCHES).mkdir(exist_ok=True)
    if any((folder / BATCHES).iterdir()) and not (folder / CHECKPOINT).is_dir():
        raise UserError(f"{folder} has lost its checkpoint; delete the folder and land the stream again")


def _is_of_a_beginning(path: Path) -> bool:
    """Say whether this is all that a landing leaves which is killed before its mark is written."""
    is_empty = path.name == BATCHES and path.is_dir() and not any(path.iterdir())
    return is_empty or (path.name.startswith(f".{MARK}.") and path.suffix == ".part")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with open(folder / "landing.lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process lands the stream in {folder}; wait for it, or end it") from None
        yield


def _fingerprint(key: bytes) -> str:
    return hmac.digest(key, b"landing", "sha256").hex()[:16]


def _landing(
    folder: Path, topic: str, allowed: tuple[str, ...], key: bytes
) -> Callable[[DataFrame, int], None]:
    def write(events: DataFrame, number: int) -> None:
        from data.stages import spark_schema

        target = folder / BATCHES / f"{number:08d}"
        if target.exists():
            return
        with stage(f"batch {number}") as done, write_atomically(target) as part:
            taken = events.mapInArrow(_taking_in(topic, allowed, key), spark_schema(TAKEN_IN))
            taken.write.parquet(part.as_uri())
            done.said = f"{len(_events(ds.dataset(part, schema=TAKEN_IN, format='parquet'))):,} events"

    return write


def _taking_in(
    topic: str, allowed: tuple[str, ...], key: bytes
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def take_in(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            events = zip(*map(pa.Array.to_pylist, batch.columns), strict=True)
            yield from batched(
                (partition << PARTITION_BITS | offset, taken)
                for partition, offset, value in events
                for taken in take_event(
                    value, place=f"{topic}/{partition}/{offset}", allowed=allowed, secret=key
                )
            )

    return take_in


def _wait(query: StreamingQuery, folder: Path) -> None:
    """Wait for the query to end; of an interruption no more is seen than what has landed."""
    from pyspark.errors import StreamingQueryException

    try:
        query.awaitTermination()
    except KeyboardInterrupt:
        query.stop()
    except StreamingQueryException as error:
        raise RuntimeError(f"the stream into {folder} stopped: {_last_line(str(error))}") from None


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if "Error: " in line]
    return lines[-1] if lines else said.splitlines()[0]


def _rows(folder: Path) -> ds.Dataset:
    paths = sorted(str(path) for path in (folder / BATCHES).glob("[0-9]*/*.parquet"))
    return ds.dataset(paths, schema=TAKEN_IN, format="parquet")


def _events(rows: ds.Dataset) -> pa.Table:
    """Return a row per event: its number, its file, the hash it stated, and why it brought nothing."""
    columns = ["event", "source", "source_sha256", "reason"]
    return rows.to_table(columns=columns, filter=pc.field("outcome") == "event").sort_by("event")


def _chosen(events: pa.Table) -> tuple[Landed, np.ndarray]:
    """Return the counts and the numbers of the events whose rows count.

    A file that comes with the same hash again was delivered again: what was read of it first counts, if
    anything was. With another hash it is another version, and the one delivered last counts of those
    that could be read. A version that never could be read is a dead letter, whatever came after it.
    """
    read: dict[str, dict[str, _Version]] = {}
    failed: dict[tuple[str, str], int] = {}
    for event, source, sha256, reason in zip(*map(pa.ChunkedArray.to_pylist, events.columns), strict=True):
        if reason is None:
            versions = read.setdefault(source, {})
            versions[sha256] = _Version(versions[sha256].first if sha256 in versions else event, event)
        else:
            failed.setdefault((source, sha256), event)
    dead = [event for (source, sha256), event in failed.items() if sha256 not in read.get(source, {})]
    files = [max(versions.values(), key=lambda each: each.last).first for versions in read.values()]
    replaced = sum(map(len, read.values())) - len(files)
    again = len(events) - len(files) - replaced - len(dead)
    counts = Landed(len(events), len(files), again, replaced, len(dead))
    return counts, np.array(sorted([*files, *dead]), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Version:
    """The numbers of the events that brought a version of a file first and last."""

    first: int
    last: int
