"""A message: its chunks, the bytes that it came from, who labelled it, and the copies behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.labels import read_labels
from data.landing import is_landing
from data.reread import Reread, reread
from data.rows import find_rows
from data.schema import PARSER
from data.workspace import UserError, locate
from pipelines.lineage.datasets import NO_ARCHIVE, Origin, labels_of, newest_first, origin_of
from pipelines.lineage.line import Line, Walk

Row = Mapping[str, Any]
GONE = "in no dataset of this workspace: erased, expired, or prepared anew"
STREAMED = "the bytes came with a stream and are not kept; give the files: --archive PATH"


def message_line(walk: Walk, message_id: str, folders: Sequence[Path] = ()) -> Line | None:
    """Return a message of the first of these datasets that holds it, of all if none are given."""
    for folder in folders or newest_first():
        for row in find_rows(folder, "messages", "message_id", message_id):
            return _message(walk, row, folder)
        for row in find_rows(folder, "duplicates", "message_id", message_id):
            kept = message_line(walk, row["duplicate_of"], [folder])
            note = f"{_likeness(row)} of another message: not kept itself, {_reference(row)}"
            return Line("message", message_id, note, below=(kept,) if kept else ())
    return None


def chunk_line(
    walk: Walk, chunk_id: str, folders: Sequence[Path] = (), *, cited: tuple[int, int] | None = None
) -> Line | None:
    """Return a chunk and its message; ``cited`` are the characters of the message that must lie in it."""
    for folder in folders or newest_first():
        for row in find_rows(folder, "chunks", "chunk_id", chunk_id):
            start, end = row["start"], row["end"]
            holds = walk.holds(lambda: start <= cited[0] < cited[1] <= end) if cited else None  # noqa: B023
            message = message_line(walk, row["message_id"], [folder])
            note = f"characters {start}-{end} of the message's text"
            return Line(
                "chunk", chunk_id, note, holds, (message or Line("message", row["message_id"], GONE),)
            )
    return None


def _message(walk: Walk, row: Row, folder: Path) -> Line:
    origin = origin_of(folder)
    place = walk.archive or origin.archive
    copies = find_rows(folder, "duplicates", "duplicate_of", row["message_id"])
    chunks = find_rows(folder, "chunks", "message_id", row["message_id"])
    named = ", ".join(f"{each['chunk_id']}[{each['start']}:{each['end']}]" for each in chunks)
    below = (
        Line("dataset folder", str(folder)),
        Line("thread", row["thread_id"] or "", note=f"{row['channel']}, split {row['split']}"),
        Line("chunks", named),
        _source(walk, row, place),
        _label(walk, row, copies, place, origin),
        Line("duplicates", str(len(copies)), below=tuple(_copy(each) for each in copies)),
    )
    return Line("message", row["message_id"], below=below)


def _source(walk: Walk, row: Row, place: str) -> Line:
    note, found = _found(walk, row, place) if walk.check else ("", None)
    below = (
        Line("archive", place, note=note or ("" if place else NO_ARCHIVE)),
        Line(
            "SHA-256 of the file",
            row["source_sha256"] or "",
            holds=found.sha256 == row["source_sha256"] if found else None,
        ),
        Line(
            "bytes",
            f"{row['byte_start']}-{row['byte_end']}",
            _said_of_bytes(found, row),
            holds=_is_same(found, row) if found else None,
        ),
        Line("parser", row["parser"] or "", "" if row["parser"] == PARSER else f"here it is {PARSER}"),
    )
    return Line("source", _reference(row), below=below)


def _found(walk: Walk, row: Row, place: str) -> tuple[str, Reread | None]:
    """Read the message again; where that cannot be done, say why: it is no proof of anything."""
    if not place:
        return NO_ARCHIVE, None
    if "://" in place:
        return "not checked: it lies on another machine", None
    archive = locate(place)
    if is_landing(archive):
        return f"not checked: {STREAMED}", None
    try:
        found = reread(archive, row["source"], row["locator"])
    except (OSError, UserError) as error:
        return f"not checked: the file cannot be read ({type(error).__name__})", None
    return ("", found) if found else ("not checked: the file is not there any more", None)


def _said_of_bytes(found: Reread | None, row: Row) -> str:
    if found is None:
        return "of the file, unpacked where it is packed"
    if not found.message_id:
        return "no message is read from there any more"
    if not _is_same(found, row) and found.sha256 == row["source_sha256"]:
        return f"the same bytes are message {found.message_id} now: what reads and redacts them has changed"
    return "of the file, unpacked where it is packed; read again without the redaction key"


def _is_same(found: Reread, row: Row) -> bool:
    again = (found.message_id, found.byte_start, found.byte_end)
    return again == (row["message_id"], row["byte_start"], row["byte_end"])


def _label(walk: Walk, row: Row, copies: Sequence[Row], place: str, origin: Origin) -> Line:
    if not row["label"]:
        return Line("label", "none", note="nobody has labelled it")
    if not place or "://" in place:
        return Line("label", row["label"], below=(Line("from", note=NO_ARCHIVE),))
    path = labels_of(origin, locate(place))
    try:
        stated = read_labels(path)
    except UserError:
        return Line("label", row["label"], below=(Line("from", note=f"{path} cannot be read any more"),))
    behind = [_reference(each) for each in (row, *copies)]
    said_by = next((each for each in behind if each in stated), "")
    said = stated.get(said_by, "")
    if not said_by:
        below = Line("from", note=f"{path} names neither it nor a copy of it")
    else:
        below = Line("from", f"{path}, {said_by}", "" if said_by == behind[0] else "a copy of it")
    return Line("label", row["label"], holds=walk.holds(lambda: said == row["label"]), below=(below,))


def _copy(row: Row) -> Line:
    return Line("copy", row["message_id"], f"{_likeness(row)}, {_reference(row)}")


def _likeness(row: Row) -> str:
    return "an exact copy" if row["kind"] == "exact" else f"a near copy ({row['similarity']:.2f})"


def _reference(row: Row) -> str:
    return f"{row['source']}#{row['locator']}"
