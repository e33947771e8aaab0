"""Events of a stream: each carries one file of an archive, or says where it lies and what it must hash to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from data.columns import Columns, read_columns
from data.intake import LARGEST_EXPORT, Arrived, Refused, Taken, Tally, take
from data.record import Rejected
from data.sources import BANG, COLUMNS, SLACK_INDEX, TABLES, Item, file_sha256, items_of
from data.unsaid import unsaid
from data.workspace import UserError

LONGEST_SOURCE = 1000
HASH_BYTES = 1 << 20
GONE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class InvalidEventError(ValueError):
    """The event can never be read; ``reason`` is one of ``schema.REASONS``."""

    def __init__(self, reason: str, source: str = "", sha256: str = "") -> None:
        super().__init__(reason)
        self.reason, self.source, self.sha256 = reason, source, sha256


@dataclass(frozen=True, slots=True)
class Event:
    """A file: its name in the archive, its SHA-256, and its content or where to fetch it.

    ``is_mail`` says that it is one mail, for names and beginnings that do not show it.
    """

    source: str
    sha256: str
    content: bytes | None = None
    uri: str = ""
    is_mail: bool = False


def to_json(event: Event) -> bytes:
    """Return the event as it travels."""
    fields = {"source": event.source, "sha256": event.sha256}
    if event.is_mail:
        fields["format"] = "mail"
    if event.content is None:
        fields["uri"] = event.uri
    else:
        fields["content"] = base64.b64encode(event.content).decode()
    return json.dumps(fields).encode()


def from_json(value: bytes) -> Event:
    """Read an event.

    Raises:
        InvalidEventError: not JSON, without a name or a hash, with neither or both of content and uri.
    """
    try:
        fields: dict[str, Any] = json.loads(value)
        source, sha256 = fields["source"], fields["sha256"]
        uri, content = fields.get("uri"), fields.get("content")
        is_usable = (
            isinstance(source, str)
            and isinstance(sha256, str)
            and source.isprintable()
            and 0 < len(source) <= LONGEST_SOURCE
            and len(bytes.fromhex(sha256)) == 32
            and fields.get("format", "mail") == "mail"
            and (isinstance(uri, str) if content is None else isinstance(content, str) and uri is None)
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        is_usable = False
    if not is_usable:
        raise InvalidEventError("invalid_event")
    source = source.replace("!", BANG)  # or it could be called what a member of another file is called
    is_mail = "format" in fields
    if content is None:
        return Event(source, sha256.lower(), uri=str(uri), is_mail=is_mail)
    try:
        return Event(source, sha256.lower(), base64.b64decode(content, validate=True), is_mail=is_mail)
    except (binascii.Error, ValueError):
        raise InvalidEventError("invalid_event", source, sha256.lower()) from None


def take_event(
    value: bytes, *, place: str, allowed: Sequence[str], secret: bytes, largest: int = LARGEST_EXPORT
) -> Iterator[Taken]:
    """Yield what becomes of every entry that an event brings, how many there were, and the event itself.

    ``place`` names an event that does not say whose file it is. A uri is followed only below one of
    the ``allowed`` prefixes: events are written by strangers.
    """
    with unsaid(f"taking in the event {place}"):
        try:
            event = from_json(value)
            with _file_of(event, allowed, largest) as (path, root):
                slack_root = _slack_root(path, root) if root else None
                for item in items_of(path, event.source, in_maildir=event.is_mail, slack_root=slack_root):
                    yield from take(_completed(item, event, root), secret)
            yield Arrived(event.source, event.sha256)
        except InvalidEventError as error:
            source = error.source or place
            yield Refused(source, error.sha256, Rejected(0, 0, 0, error.reason), "event")
            yield Tally(source, 1)
            yield Arrived(source, error.sha256, error.reason)


def prefixes(allowed: Sequence[str]) -> tuple[str, ...]:
    """Return prefixes as they are compared with: folders as file URIs, all with a closing slash.

    Raises:
        UserError: a prefix of a store for which no client is installed.
    """
    import fsspec

    checked = []
    for prefix in allowed:
        uri = prefix if "://" in prefix else Path(prefix).expanduser().resolve().as_uri()
        try:
            fsspec.get_filesystem_class(urlsplit(uri).scheme)
        except (ImportError, ValueError) as error:
            raise UserError(f"files below {prefix} cannot be fetched: {error}") from None
        checked.append(uri.rstrip("/") + "/")
    return tuple(checked)


def _completed(item: Item, event: Event, root: Path | None) -> Item:
    """Return the item with what discovering a whole archive adds: hashes, and what a table's columns mean."""
    item = replace(item, sha256=event.sha256)
    if item.format not in TABLES:
        return item
    columns = read_columns(root / COLUMNS) if root else Columns()
    return replace(item, context=columns.model_dump_json().encode())


@contextmanager
def _file_of(event: Event, allowed: Sequence[str], largest: int) -> Iterator[tuple[Path, Path | None]]:
    """Yield the path of the event's file, which hashes to what it must, and the allowed folder it lies in."""
    if event.content is not None:
        with _in_memory() as handle:
            handle.write(event.content)
            yield _checked(event, handle), None
    elif event.uri.startswith("file:"):
        path, root = _below(event, allowed)
        try:
            is_same = file_sha256(path) == event.sha256
        except OSError:
            raise InvalidEventError("vanished_file", event.source, event.sha256) from None
        if not is_same:
            raise InvalidEventError("altered_file", event.source, event.sha256)
        yield path, root
    else:
        if not event.uri.startswith(tuple(allowed)) or "/../" in unquote(event.uri):
            raise InvalidEventError("forbidden_uri", event.source, event.sha256)
        with _in_memory() as handle:
            _fetch(event, handle, largest)
            yield _checked(event, handle), None


def _below(event: Event, allowed: Sequence[str]) -> tuple[Path, Path]:
    """Return the real path of a local file and the allowed folder that it lies in."""
    try:
        path = Path(unquote(urlsplit(event.uri).path)).resolve()
    except (OSError, ValueError, RuntimeError):
        raise InvalidEventError("vanished_file", event.source, event.sha256) from None
    for prefix in allowed:
        folder = Path(unquote(urlsplit(prefix).path))
        if urlsplit(prefix).scheme == "file" and path.is_relative_to(folder):
            return path, folder
    raise InvalidEventError("forbidden_uri", event.source, event.sha256)


def _slack_root(path: Path, root: Path) -> Path | None:
    for folder in (path.parent, path.parent.parent):
        if folder.is_relative_to(root) and (folder / SLACK_INDEX).is_file():
            return folder
    return None


def _fetch(event: Event, handle: BinaryIO, largest: int) -> None:
    import fsspec

    try:
        with fsspec.open(event.uri, "rb") as remote:
            while block := remote.read(HASH_BYTES):
                handle.write(block)
                if handle.tell() > largest:
                    raise InvalidEventError("too_large", event.source, event.sha256)
    except InvalidEventError:
        raise
    except (*GONE, ValueError):  # a store that does not answer is no dead letter: the batch is run again
        raise InvalidEventError("vanished_file", event.source, event.sha256) from None


def _checked(event: Event, handle: BinaryIO) -> Path:
    """Return a path to what was written, where it is what the event says."""
    handle.flush()
    handle.seek(0)
    if hashlib.file_digest(handle, "sha256").hexdigest() != event.sha256:  # type: ignore[arg-type]
        raise InvalidEventError("altered_file", event.source, event.sha256)
    return Path(f"/dev/fd/{handle.fileno()}")


@contextmanager
def _in_memory() -> Iterator[BinaryIO]:
    """Yield a file that has a path for the readers, but lies on no disk where the system can do that."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("event"), "w+b") as handle:
            yield handle
    else:
        with tempfile.TemporaryFile() as handle:
            yield handle
