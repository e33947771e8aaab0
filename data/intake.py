"""From work items to Arrow batches of redacted messages: what runs inside Spark's Python workers."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from data.columns import Columns
from data.dedupe import Fingerprint, fingerprints
from data.normalise import Normal, normalise
from data.packed import unpacked
from data.read_chat import read_slack, read_teams
from data.read_mail import LARGEST, read_mail, read_mbox, read_mbox_stream
from data.read_table import read_jsonl, read_parquet
from data.read_transcript import read_plain_transcript, read_transcript
from data.record import Entry, Record, Rejected
from data.schema import ATTACHMENT, INSTANT, PARSER, ZONE
from data.sources import TABLES, Item, file_sha256
from data.unsaid import UnexpectedError, told, unsaid

BATCH_MESSAGES = 500
BATCH_CHARACTERS = 8_000_000
LARGEST_EXPORT = 512 << 20
REFUSALS = {
    "unreadable": "unreadable_file",
    "unrecognised": "unrecognised_format",
    "damaged": "archive_metadata_damaged",
}

TAKEN_IN = pa.schema(
    [
        ("outcome", pa.string()),  # message, reject, tally (how many entries a work item held), event
        ("message_id", pa.string()),
        ("channel", pa.string()),
        ("sent_at", INSTANT),
        ("sender", pa.string()),
        ("sender_domain", pa.string()),
        ("recipients", pa.list_(pa.string())),
        ("subject", pa.string()),
        ("text", pa.string()),
        ("full_text", pa.string()),
        ("zones", pa.list_(ZONE)),
        ("language", pa.string()),
        ("attachments", pa.list_(ATTACHMENT)),
        ("source", pa.string()),
        ("locator", pa.int32()),
        ("source_sha256", pa.string()),
        ("byte_start", pa.int64()),
        ("byte_end", pa.int64()),
        ("parser", pa.string()),
        ("content_digest", pa.string()),
        ("key", pa.string()),
        ("parents", pa.list_(pa.string())),
        ("topic", pa.string()),
        ("is_reply", pa.bool_()),
        ("content_hash", pa.string()),
        ("attached", pa.string()),
        ("view_hash", pa.string()),
        ("bands", pa.list_(pa.int64())),
        ("reason", pa.string()),
        ("stage", pa.string()),
        ("entries", pa.int64()),
        ("event", pa.int64()),  # which event of a stream it came with; 0 in an archive
    ]
)
_PLAIN = (
    *(
        "message_id",
        "channel",
        "sent_at",
        "sender",
        "sender_domain",
        "subject",
        "text",
        "full_text",
        "language",
        "source",
        "locator",
    ),
    *("source_sha256", "byte_start", "byte_end", "content_digest", "key", "topic", "is_reply"),
)


@dataclass(frozen=True, slots=True)
class Refused:
    """A reject with its provenance."""

    source: str
    source_sha256: str
    entry: Rejected
    stage: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many entries a work item turned out to hold."""

    source: str
    entries: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event of a stream: the file that it brought, or why it brought none."""

    source: str
    source_sha256: str
    reason: str = ""


Taken = Normal | Refused | Tally | Arrived


def take_all(items: Iterable[Item], secret: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the rows of work items: read, normalised, redacted, fingerprinted."""
    return batched((0, taken) for item in items for taken in take(item, secret))


def take(item: Item, secret: bytes) -> Iterator[Taken]:
    """Yield what becomes of every entry of a work item, then how many there were.

    Of a file that changed since it was discovered no fewer entries come out than were counted there.
    A bug in reading or redacting costs the entry it stumbles over, or what is left of that file, and
    is told on stderr by its place without a word of the message.
    """
    try:
        sha256 = item.sha256 or (
            file_sha256(Path(os.fsdecode(item.path))) if item.format != "unreadable" else ""
        )
        entries = read(item)
    except OSError:
        sha256, entries = "", _rest(item, 0, "unreadable_file")
    count = 0
    while True:
        try:
            with unsaid(f"reading {item.source}, entry {item.first + count}"):
                entry = next(entries, None)
        except OSError:  # the file went away or broke while it was read
            entries = _rest(item, count, "unreadable_file")
            continue
        except UnexpectedError as error:
            entries = _rest(item, count, told(error))
            continue
        if entry is None and count < item.count:  # the file was cut off since it was discovered
            entries = _rest(item, count, "unreadable_file")
            continue
        if entry is None:
            break
        result = entry if isinstance(entry, Rejected) else _normal(entry, item, sha256, secret)
        count += 1
        stage = "read" if isinstance(entry, Rejected) else "normalise"
        yield Refused(item.source, sha256, result, stage) if isinstance(result, Rejected) else result
    yield Tally(item.source, count)


def _rest(item: Item, count: int, reason: str) -> Iterator[Entry]:
    """Yield a reject for each entry that is known to be left behind the first ``count``, or one for all."""
    for number in range(count, max(item.count, count + 1)):
        yield Rejected(item.first + number, item.start, item.end, reason)


def _normal(record: Record, item: Item, sha256: str, secret: bytes) -> Normal | Rejected:
    try:
        with unsaid(f"redacting {item.source}, entry {record.locator}"):
            return normalise(record, source=item.source, source_sha256=sha256, secret=secret)
    except UnexpectedError as error:
        return Rejected(record.locator, record.byte_start, record.byte_end, told(error))


def read(item: Item) -> Iterator[Entry]:
    """Yield the entries of a work item, read by the reader of its format.

    Raises:
        OSError: while iterating: the file cannot be opened, goes away, or unpacks to nothing usable.
    """
    if item.format in REFUSALS:
        yield Rejected(0, 0, item.end, REFUSALS[item.format])
    elif item.packing:
        with unpacked(Path(os.fsdecode(item.path)), item.packing, item.member) as handle:
            yield from _unpacked(handle, item)
    elif item.format not in TABLES and item.end - item.start > _largest(item):
        yield Rejected(item.first, item.start, item.end, "too_large")
    else:
        with open(os.fsdecode(item.path), "rb") as handle:
            if item.format in TABLES:
                yield from _streamed(handle, item)
            else:
                handle.seek(item.start)
                yield from _parsed(handle.read(item.end - item.start), item)


def _unpacked(handle: io.BufferedReader, item: Item) -> Iterator[Entry]:
    """Read what comes out of a decompressor: its size is only known at its end."""
    if item.format == "mbox":
        yield from read_mbox_stream(handle)
    elif item.format == "jsonl":
        yield from _streamed(handle, item)
    else:
        content = handle.read(_largest(item) + 1)
        if len(content) > _largest(item):
            yield Rejected(0, 0, len(content), "too_large")
        elif item.format == "parquet":
            yield from read_parquet(io.BytesIO(content), size=len(content), columns=_columns(item))
        else:
            yield from _parsed(content, item)


def _streamed(handle: BinaryIO, item: Item) -> Iterator[Entry]:
    if item.format == "jsonl":
        return read_jsonl(handle, columns=_columns(item))
    return read_parquet(handle, size=item.end, columns=_columns(item))


def _columns(item: Item) -> Columns:
    return Columns.model_validate_json(item.context)


def _largest(item: Item) -> int:
    return LARGEST if item.format in ("mail", "mbox") else LARGEST_EXPORT


def _parsed(content: bytes, item: Item) -> Iterator[Entry]:
    match item.format:
        case "mbox":
            return read_mbox(content, first=item.first, offset=item.start)
        case "mail":
            return iter([read_mail(content)])
        case "slack":
            return read_slack(content, source=item.source, context=os.fsdecode(item.context))
        case "teams":
            return read_teams(content)
        case "plain_transcript":
            return read_plain_transcript(content, source=item.source)
        case _:
            return read_transcript(content, source=item.source)


def batched(taken: Iterator[tuple[int, Taken]]) -> Iterator[pa.RecordBatch]:
    """Yield batches of bounded size of what was taken in, each with its event's number."""
    held: list[tuple[int, Taken]] = []
    characters = 0
    for event, each in taken:
        held.append((event, each))
        characters += len(each.full_text) + len(each.text) if isinstance(each, Normal) else 0
        if len(held) >= BATCH_MESSAGES or characters >= BATCH_CHARACTERS:
            yield from _batches(held)
            held, characters = [], 0
    if held:
        yield from _batches(held)


def _batches(taken: list[tuple[int, Taken]]) -> Iterator[pa.RecordBatch]:
    """Yield one batch, or one for each if a message among them cannot be written: that one is a reject."""
    try:
        with unsaid(f"writing {len(taken)} entries of {taken[0][1].source} and what follows"):
            yield _batch(taken)
    except UnexpectedError as error:
        if len(taken) > 1:
            yield from (batch for each in taken for batch in _batches([each]))
            return
        event, message = taken[0]
        if not isinstance(message, Normal):
            raise
        entry = Rejected(message.locator, message.byte_start, message.byte_end, told(error))
        yield _batch([(event, Refused(message.source, message.source_sha256, entry, "normalise"))])


def _batch(taken: list[tuple[int, Taken]]) -> pa.RecordBatch:
    messages = [each for _, each in taken if isinstance(each, Normal)]
    prints = iter(fingerprints(messages))
    rows = [
        _row(each, next(prints) if isinstance(each, Normal) else None) | {"event": event}
        for event, each in taken
    ]
    return pa.RecordBatch.from_arrays(
        [pa.array([row.get(field.name) for row in rows], field.type) for field in TAKEN_IN], schema=TAKEN_IN
    )


def _row(taken: Taken, fingerprint: Fingerprint | None) -> dict[str, Any]:
    """Return a row for Arrow, the one place where a record becomes columns."""
    if isinstance(taken, Tally):
        return {"outcome": "tally", "source": taken.source, "entries": taken.entries}
    if isinstance(taken, Arrived):
        return {
            "outcome": "event",
            "source": taken.source,
            "source_sha256": taken.source_sha256,
            "reason": taken.reason or None,
        }
    if isinstance(taken, Refused):
        entry = taken.entry
        return {
            "outcome": "reject",
            "source": taken.source,
            "locator": entry.locator,
            "byte_start": entry.byte_start,
            "byte_end": entry.byte_end,
            "source_sha256": taken.source_sha256,
            "reason": entry.reason,
            "stage": taken.stage,
        }
    row: dict[str, Any] = {name: getattr(taken, name) for name in _PLAIN}
    row |= {
        "outcome": "message",
        "parser": PARSER,
        "recipients": list(taken.recipients),
        "parents": list(taken.parents),
        "zones": [{"kind": zone.kind, "start": zone.start, "end": zone.end} for zone in taken.zones],
        "attachments": [
            {"name": each.name, "content_type": each.content_type, "size": each.size, "sha256": each.sha256}
            for each in taken.attachments
        ],
    }
    if fingerprint is not None:
        row |= {
            "content_hash": fingerprint.content,
            "attached": fingerprint.attached,
            "view_hash": fingerprint.view,
            "bands": list(fingerprint.bands),
        }
    return row
