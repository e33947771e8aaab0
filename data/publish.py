"""An archive as a stream: one event for every file, as a mail gateway or an exporter would send them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data.events import Event, to_json
from data.progress import stage
from data.sources import COLUMNS, TABLES, Item, discover, source_of
from data.workspace import UserError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

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

    sender, count, arrived = producer(topic), 0, 0

    def count_arrived(error: KafkaError | None, _: Message) -> None:
        nonlocal arrived
        arrived += error is None

    with stage("publish") as done:
        for event in events_of(archive, inline=inline):
            _send(sender, topic, event, count_arrived)
            count += 1
        sender.flush(FLUSH_S)
        done.said = f"{arrived:,} events"
    if arrived < count:
        raise UserError(
            f"{count - arrived:,} of {count:,} events did not reach topic {topic.name!r} at {topic.broker}; "
            "check both and publish again: what has arrived counts once"
        )
    return count


def _send(
    sender: Producer, topic: Topic, event: Event, told: Callable[[KafkaError | None, Message], None]
) -> None:
    """Queue an event, behind those that are on their way if they are too many.

    Raises:
        UserError: the queue is full, and the broker takes nothing.
    """
    while True:
        try:
            sender.produce(topic.name, key=event.source.encode(), value=to_json(event), on_delivery=told)
            sender.poll(0)
            return
        except BufferError:
            if not sender.poll(FLUSH_S):
                raise UserError(
                    f"{topic.broker} has taken no event of {topic.name!r} for {FLUSH_S} s; "
                    "check both and publish again: what has arrived counts once"
                ) from None


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
