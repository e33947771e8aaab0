"""An archive as a stream: one event for every file, as a mail gateway or an exporter would send them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data.events import Event, to_json
from data.progress import stage
from data.sources import COLUMNS, TABLES, Item, discover, source_of
from data.workspace import UserError

if TYPE_CHECKING:
    from data.kafka import Topic

INLINE_BYTES = 64 << 10
FLUSH_S = 60
UNKNOWN = "0" * 64


def publish(archive: Path, topic: Topic, *, inline: int = INLINE_BYTES) -> int:
    """Send an event for every file of an archive, keyed by its name; return how many.

    Files up to ``inline`` bytes travel in the event; larger ones, and those that a file beside them
    explains (the days of a Slack export, tables under a columns.yaml), by claim check: where they lie,
    and what they hash to.

    Raises:
        UserError: no archive, or the broker did not take every event.
    """
    from data.kafka import producer

    sender, count = producer(topic), 0
    with stage("publish") as done:
        for event in events_of(archive, inline=inline):
            sender.produce(topic.name, key=event.source.encode(), value=to_json(event))
            sender.poll(0)
            count += 1
        left = sender.flush(FLUSH_S)
        done.said = f"{count:,} events"
    if left:
        raise UserError(f"{left:,} of {count:,} events did not reach {topic.broker}; publish them again")
    return count


def events_of(archive: Path, *, inline: int = INLINE_BYTES) -> Iterator[Event]:
    """Yield an event for every file of an archive, in the order of their names."""
    root = archive if archive.is_dir() else archive.parent
    items = discover(archive)
    firsts = {item.path: item for item in reversed(items)}
    referred = {item.path for item in items if item.format == "slack"}
    if (root / COLUMNS).is_file():
        referred |= {item.path for item in items if item.format in TABLES}
    for path in sorted(firsts):
        yield _event(firsts[path], root, -1 if path in referred else inline)


def _event(item: Item, root: Path, inline: int) -> Event:
    path = Path(os.fsdecode(item.path))
    source = source_of(os.fsencode(path.relative_to(root)))
    is_mail = item.format == "mail"
    try:
        with open(path, "rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
            if os.fstat(handle.fileno()).st_size <= inline:
                handle.seek(0)
                content = handle.read()
                return Event(source, hashlib.sha256(content).hexdigest(), content, is_mail=is_mail)
    except OSError:
        sha256 = UNKNOWN  # whoever reads the event finds the same: it is a dead letter there
    return Event(source, sha256, uri=path.resolve().as_uri(), is_mail=is_mail)
