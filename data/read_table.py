"""Tables of messages: JSON lines and Parquet, with columns of any names; only the text must be there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from data.columns import Columns
from data.parquet import bounded_batches, bytes_of_rows, usable_columns
from data.record import Channel, Entry, Party, Record, Rejected

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_LINE = 16 << 20
USUAL = Columns()


def read_jsonl(lines: BinaryIO, *, columns: Columns = USUAL) -> Iterator[Entry]:
    """Read one JSON object per line; blank lines do not count."""
    start = locator = 0
    while line := lines.readline(LONGEST_LINE):
        end = start + len(line)
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            end += _skip_line(lines)
            yield Rejected(locator, start, end, "too_large")
            locator += 1
        elif line.strip():
            yield _from_line(line, columns, locator, start, end)
            locator += 1
        start = end


def _skip_line(lines: BinaryIO) -> int:
    """Read to the end of an overlong line without keeping it; return how many bytes that was."""
    skipped = 0
    while piece := lines.readline(LONGEST_LINE):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped


def _from_line(line: bytes, columns: Columns, locator: int, start: int, end: int) -> Entry:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return Rejected(locator, start, end, "invalid_json")
    if not isinstance(row, dict) or not {columns.text, columns.subject} & row.keys():
        return Rejected(locator, start, end, "not_a_message")
    return _record(row, columns, locator, start, end)


def read_parquet(file: BinaryIO, *, size: int, columns: Columns = USUAL) -> Iterator[Entry]:
    """Read the rows of a Parquet file, a row group's part at a time.

    A row of which a value cannot be had (a time before year 1, text that is no UTF-8), or that takes more
    than a line of JSON may, is a reject.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    locator = 0
    try:
        table = pq.ParquetFile(file)
        known = usable_columns(table, columns.names)
        if columns.text not in known:
            yield Rejected(0, 0, size, "missing_columns")
            return
        for batch in bounded_batches(file, table, known):
            for number, taken in enumerate(bytes_of_rows(batch)):
                if taken > LONGEST_LINE:
                    yield Rejected(locator, 0, size, "too_large")
                else:
                    yield _from_row(batch.slice(number, 1), columns, locator, size)
                locator += 1
    except (pa.ArrowException, OSError, ValueError):
        yield Rejected(locator, 0, size, "unreadable_file")


def _from_row(batch: pa.RecordBatch, columns: Columns, locator: int, size: int) -> Entry:
    """Read a batch of one row."""
    try:
        (row,) = batch.to_pylist()
    except (LookupError, OverflowError, ValueError):  # an unknown time zone, an odd time, no UTF-8
        return Rejected(locator, 0, size, "invalid_message")
    return _record(row, columns, locator, 0, size)


def _record(row: Mapping[str, Any], columns: Columns, locator: int, start: int, end: int) -> Record:
    sender = _party(_text(row.get(columns.sender)))
    stated = row.get(columns.recipients)
    listed = stated.replace(";", ",").split(",") if isinstance(stated, str) else stated
    recipients = [_party(_text(each)) for each in listed] if isinstance(listed, list | tuple) else []
    stated_channel = row.get(columns.channel)
    channel: Channel = stated_channel if stated_channel in ("chat", "transcript") else "email"
    thread = _text(row.get(columns.thread_id))
    return Record(
        locator=locator,
        byte_start=start,
        byte_end=end,
        channel=channel,
        sent_at=_instant(row.get(columns.sent_at)),
        sender=sender,
        recipients=tuple(dict.fromkeys(party for party in recipients if party)),
        subject=" ".join(_text(row.get(columns.subject)).split()),
        body=_text(row.get(columns.text)),
        key=_text(row.get(columns.message_id)).strip(" <>")[:998],
        parents=(f"thread\n{thread}",) if thread else (),
        names=tuple(dict.fromkeys(party.name for party in [sender, *recipients] if party.name)),
    )


def _party(stated: str) -> Party:
    name, opened, address = stated.rpartition("<")
    if opened and "@" in address:
        return Party(name.strip(" \"'"), address.rstrip("> ").lower())
    stated = stated.strip()
    return Party(address=stated.lower()) if "@" in stated else Party(name=stated)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _instant(value: object) -> datetime | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        when = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
