"""A message read once more from the bytes that it came from, to see whether they still say the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from data.columns import read_columns
from data.intake import read
from data.normalise import Normal, normalise
from data.record import Record
from data.sources import COLUMNS, TABLES, Item, file_sha256, items_at, name_of
from data.unsaid import UnexpectedError, unsaid

NO_KEY = bytes(32)  # message ids do not depend on pseudonyms: decision 2


@dataclass(frozen=True, slots=True)
class Reread:
    """What lies today where a message came from; ``message_id`` is empty where no message is.

    ``byte_start`` and ``byte_end`` are -1 then.
    """

    file: Path
    sha256: str
    message_id: str = ""
    byte_start: int = -1
    byte_end: int = -1


def reread(archive: Path, source: str, locator: int) -> Reread | None:
    """Read one entry of one source again, without the redaction key; None where the file is gone.

    A file that can no longer be read as what it was holds no message.

    Raises:
        OSError: the file cannot be opened.
        UserError: the archive's columns.yaml is wrong.
    """
    root = archive if archive.is_dir() else archive.parent
    file = root / os.fsdecode(name_of(source))
    if not file.is_file():
        return None
    sha256, message = file_sha256(file), None
    with suppress(OSError, UnexpectedError), unsaid(f"reading {source}, entry {locator}"):
        message = next(_messages(file, root, source, locator), None)
    if message is None:
        return Reread(file, sha256)
    return Reread(file, sha256, message.message_id, message.byte_start, message.byte_end)


def _messages(file: Path, root: Path, source: str, locator: int) -> Iterator[Normal]:
    for item in _items(file, root, source, locator):
        for entry in read(item):
            if isinstance(entry, Record) and entry.locator == locator:
                made = normalise(entry, source=source, source_sha256="", secret=NO_KEY)
                if isinstance(made, Normal):
                    yield made


def _items(file: Path, root: Path, source: str, locator: int) -> Iterator[Item]:
    """Yield the pieces of the source that can hold the entry."""
    for item in items_at(file, root, {}):
        is_counted = item.count >= 0
        if item.source != source or (is_counted and not 0 <= locator - item.first < item.count):
            continue
        if item.format in TABLES:
            yield replace(item, context=read_columns(root / COLUMNS).model_dump_json().encode())
        else:
            yield item
