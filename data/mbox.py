"""Messages in an mbox file: where they begin, and which range of bytes they belong to.

An mbox has no index, and a body may hold lines that look like a separator. A separator counts
when a year stands on its line and a header on the next one (RFC 4155 and what writers really do).
The line right behind a separator is never another one: some exporters write theirs twice.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path

RANGE_BYTES = 2 << 20
HASH_BYTES = 8 << 20
STREAM_BYTES = 1 << 20
LONGEST_SEPARATOR = 1024

_HEADER_FOLLOWS = rb"(?=(?:>?From [^\n]{0,300}\n)?[!-9;-~]{1,100}[ \t]{0,100}:)"
# "From : a@example.org" is a header: were it a separator, one before it would look beyond its own range
SEPARATOR = re.compile(
    rb"\nFrom (?![ \t]*:)(?=[^\n]{0,300}(?<![0-9])(?:19|20)[0-9]{2}(?![0-9]))[^\n]{0,400}\n" + _HEADER_FOLLOWS
)
_FIRST_LINE = re.compile(rb"[^\n]{0,405}\n?")  # as long as a separator may be
ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Range:
    """A run of whole messages in a file, the first of which is the file's ``first``-th."""

    start: int
    end: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over an mbox tells."""

    sha256: str
    ranges: tuple[Range, ...]

    @property
    def messages(self) -> int:
        return sum(each.count for each in self.ranges)


def survey(path: Path, *, range_bytes: int = RANGE_BYTES) -> Survey:
    """Find the messages of an mbox and pack them into ranges of about ``range_bytes``.

    A range ends before the message that would make it too long, so a giant is alone in its own.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for position in range(0, len(content), HASH_BYTES):
            digest.update(content[position : position + HASH_BYTES])
        starts = _starts(content)
        return Survey(digest.hexdigest(), tuple(_pack(starts, len(content), range_bytes)))


def _starts(content: bytes | mmap.mmap) -> Iterator[int]:
    yield 0
    for found in SEPARATOR.finditer(content, _behind_first_line(content)):
        yield found.start() + 1


def _behind_first_line(content: bytes | bytearray | mmap.mmap) -> int:
    """Return where to look for the second message: where the search stands that has found the first."""
    found = _FIRST_LINE.match(content)
    return found.end() if found else 0


def _pack(starts: Iterator[int], size: int, range_bytes: int) -> Iterator[Range]:
    first = count = opened = 0
    previous = next(starts)
    for start in _then(starts, size):
        if count and start - opened > range_bytes:
            yield Range(opened, previous, first, count)
            opened, first, count = previous, first + count, 0
        count += 1
        previous = start
    yield Range(opened, size, first, count)


def _then(starts: Iterator[int], last: int) -> Iterator[int]:
    yield from starts
    yield last


@dataclass(frozen=True, slots=True)
class Streamed:
    """One message of a stream with its place; ``raw`` is None for one above the limit."""

    start: int
    end: int
    raw: bytes | None


def stream(handle: BufferedReader | BytesIO, *, largest: int) -> Iterator[Streamed]:
    """Yield the messages of an mbox that can only be read once, from its beginning to its end.

    Memory holds one message and a block; of a message above ``largest`` bytes only the size is kept.
    Where the stream breaks off, the messages before the broken one are yielded first.

    Raises:
        OSError: while iterating: what the stream raises.
    """
    buffer, start, dropped, searched, last = bytearray(), 0, 0, -1, False

    def message(begin: int, end: int) -> Streamed:
        size = dropped + end - begin
        raw = None if dropped or size > largest else _without_envelope(bytes(buffer[begin:end]), 0, size)
        return Streamed(start, start + size, raw)

    damage: OSError | None = None
    while not last:
        try:
            block = handle.read1(STREAM_BYTES)
        except OSError as error:
            block, damage = b"", error
        last = not block
        buffer += block
        decided = len(buffer) if last else len(buffer) - LONGEST_SEPARATOR
        if decided <= 0 and not last:
            continue
        cut, searched = 0, searched if searched >= 0 else _behind_first_line(buffer)
        for found in SEPARATOR.finditer(buffer, searched):
            if found.start() >= decided:
                break
            yield (streamed := message(cut, found.start() + 1))
            start, cut, dropped, searched = streamed.end, found.start() + 1, 0, found.end()
        searched = max(searched, decided) - cut
        del buffer[:cut]
        if len(buffer) > largest + LONGEST_SEPARATOR and not last:
            surplus = len(buffer) - LONGEST_SEPARATOR
            dropped += surplus
            searched -= surplus
            del buffer[:surplus]
    if damage:
        raise damage
    yield message(0, len(buffer))


def split(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield every message of a range with the offset of its separator line, which is left off.

    ``content`` begins with a separator line.
    """
    starts = list(_starts(content))
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        yield start, _without_envelope(content, start, end)


def _without_envelope(content: bytes, start: int, end: int) -> bytes:
    line_end = content.find(b"\n", start, end)
    body = content[line_end + 1 : end] if line_end >= 0 else b""
    return ESCAPED.sub(rb"\1", body) if b"\n>" in body else body
