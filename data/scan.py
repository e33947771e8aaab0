"""The proof of an erasure: every byte of the workspace is looked through for what should be gone."""

from __future__ import annotations

import bz2
import gzip
import html
import io
import lzma
import os
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from data.erasing import BATCH_ROWS
from data.shingles import Traces

BLOCK = 4 << 20
OVERLAP = 4096
LARGEST_MEMBER = 1 << 30
ESCAPED = re.compile(r"\\u[0-9a-fA-F]{4}|\\+[nrtbf\"/]")
IN_TEXT = r"(?:(?<!\w)(?<!\w[.+-])|(?<=[%=][0-9a-f]{{2}})){}(?![.-]?[^\W_])"
IN_NAME = r"(?<![^\W_]){}(?![^\W_])"  # of a file: a mark or an ending may stand beside it
READABLE = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]{16,}")


@dataclass(frozen=True, slots=True)
class Sought:
    """What should be gone; held messages may still have it. Lives in memory only."""

    words: tuple[str, ...]
    traces: Traces
    held_ids: frozenset[str] = frozenset()

    def hits(self, text: str) -> int:
        """Count what a text still has: names by their number, repeated words once.

        An address that only ends like the one sought is somebody else's.
        """
        plain = html.unescape(ESCAPED.sub(_sign, text))
        found = max(self._named(each.lower(), IN_TEXT) for each in (text, plain))
        return found + self.traces.found_in(plain)

    def hits_in_bytes(self, text: str) -> int:
        """Count in what was read out of bytes: before an address may stand its length, which is no letter."""
        return max(self.hits(text), sum(text.lower().count(word) for word in self.words))

    def hits_in_name(self, name: str) -> int:
        """Count in the name of a file."""
        return self._named(name.lower(), IN_NAME) + self.traces.found_in(name)

    def _named(self, lower: str, address: str) -> int:
        present = [word for word in self.words if word in lower]
        shapes = (address.format(re.escape(word)) if "@" in word else re.escape(word) for word in present)
        return sum(len(re.findall(shape, lower)) for shape in shapes)

    def hidden(self, name: str) -> str:
        """Return a file's name as it may be printed and kept: a folder may be named after the person."""
        for word in self.words:
            name = re.sub(re.escape(word), "…", name, flags=re.IGNORECASE)
        return name


@dataclass(slots=True)
class Scan:
    """How much was looked through, what was found where, and what was left out on purpose."""

    files: int = 0
    bytes: int = 0
    held_rows: int = 0
    hits: dict[str, int] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.hits and not self.unread

    def __str__(self) -> str:
        found = [f"  {count:,} hits in {name}" for name, count in sorted(self.hits.items())]
        found += [f"  {name} could not be read" for name in self.unread]
        looked = f"scanned {self.files:,} files, {self.bytes:,} bytes: "
        looked += f"{sum(self.hits.values()):,} hits"
        looked += f", {self.held_rows:,} held rows passed over" if self.held_rows else ""
        return "\n".join([looked, *found, *(f"  not scanned: {name}" for name in self.left_out)])


def sought(
    pseudonyms: Collection[str],
    subjects: Collection[str],
    traces: Traces,
    *,
    held_ids: Collection[str] = (),
) -> Sought:
    """Return what to look for: pseudonyms without their brackets, and addresses as they are written."""
    words = {pseudonym.strip("[]").lower() for pseudonym in pseudonyms}
    addresses = sorted(each.lower() for each in subjects if "@" in each)
    return Sought((*sorted(words), *addresses), traces, frozenset(held_ids))


def scan(root: Path, wanted: Sought, *, left_out: Collection[Path] = ()) -> Scan:
    """Look through every file below a folder, whatever it is; links are not followed."""
    result = Scan(left_out=[path.relative_to(root).as_posix() for path in sorted(left_out) if path.exists()])
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if Path(folder, name) not in left_out]
        for path in (Path(folder, name) for name in sorted(files)):
            if path not in left_out and path.is_file() and not path.is_symlink():
                scan_file(path, wanted, result, name=path.relative_to(root).as_posix())
    return result


def scan_file(path: Path, wanted: Sought, result: Scan, *, name: str = "") -> int:
    """Look through one file and what is packed in it; return the hits."""
    found = wanted.hits_in_name(name := name or path.name)
    name = wanted.hidden(name)
    try:
        result.files += 1
        result.bytes += path.stat().st_size
        with open(path, "rb") as handle:
            found += _contents(handle, path, wanted, result)
    except (
        OSError,
        pa.ArrowException,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        sqlite3.Error,
        zstandard.ZstdError,
        RuntimeError,  # of a zip: encrypted; NotImplementedError, packed by a method that is not known here
    ):
        result.unread.append(name)
    if found:
        result.hits[name] = found
    return found


def _contents(handle: BinaryIO, path: Path | None, wanted: Sought, result: Scan) -> int:
    begins = handle.read(16)
    handle.seek(0)
    if begins.startswith(b"PAR1"):
        return _parquet(handle, wanted, result)
    if begins.startswith(b"PK\x03\x04"):
        return _zip(handle, wanted, result)
    for magic, opener in _PACKED.items():
        if begins.startswith(magic):
            with opener(handle) as unpacked:
                return _contents(_whole(unpacked), None, wanted, result)
    found = _raw(handle, wanted)
    return found + (_sqlite(path, wanted) if path and begins.startswith(b"SQLite format 3") else 0)


def _parquet(handle: BinaryIO, wanted: Sought, result: Scan) -> int:
    """Decode every row; those of held messages are counted and passed over."""
    found = 0
    with pq.ParquetFile(handle) as opened:
        found += wanted.hits(str(opened.metadata.metadata))
        for batch in opened.iter_batches(BATCH_ROWS):
            for row in batch.to_pylist():
                if wanted.held_ids and row.get("message_id") in wanted.held_ids:
                    result.held_rows += 1
                else:
                    found += sum(wanted.hits(text) for text in _strings(row))
    return found


def _whole(unpacked: Any) -> io.BytesIO:
    content = unpacked.read(LARGEST_MEMBER + 1)
    if len(content) > LARGEST_MEMBER:
        raise EOFError("a packed file too large to be looked through counts as unread")
    return io.BytesIO(content)


def _zip(handle: BinaryIO, wanted: Sought, result: Scan) -> int:
    found = 0
    with zipfile.ZipFile(handle) as packed:
        for member in packed.infolist():
            if not member.is_dir():
                with packed.open(member) as unpacked:
                    content = _whole(unpacked)
                found += wanted.hits_in_name(member.filename) + _contents(content, None, wanted, result)
    return found


def _sqlite(path: Path, wanted: Sought) -> int:
    """Read every value of every table: what is spread over pages is whole again."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
        database.text_factory = lambda value: value.decode("utf-8", "replace")
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = 0
        for table in tables:
            with suppress(sqlite3.OperationalError):  # a virtual table whose module is not here
                quoted = table.replace('"', '""')
                for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - no one's input
                    found += sum(wanted.hits(text) for text in _strings(list(row)))
        return found


def _raw(handle: BinaryIO, wanted: Sought) -> int:
    """Look through bytes as they lie, in blocks that overlap by more than anything sought."""
    found, kept = 0, b""
    while block := handle.read(BLOCK):
        window = kept + block
        if b"\0" in window:
            readable = b"\n\0\n".join(READABLE.findall(window))
            found += wanted.hits_in_bytes(readable.decode("utf-8", "replace"))
        else:
            found += wanted.hits(window.decode("utf-8", "replace"))
        kept = block[-OVERLAP:] if len(block) == BLOCK else b""
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def _sign(match: re.Match[str]) -> str:
    written = match[0]
    return chr(int(written[2:], 16)) if written[1] == "u" else " "


_PACKED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x28\xb5\x2f\xfd": zstandard.open,
}
