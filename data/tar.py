"""What lies where in a tar file: found header by header, without reading what is between them.

The standard library's reader is not used: on headers made for it, it runs in circles or out of stack.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

BLOCK = 512
MAGIC_AT, MAGIC = 257, b"ustar"
LARGEST_HEADER = 1 << 20
Kind = Literal["file", "folder", "broken"]

_FOLDERS = b"5D"
_NO_FILES = b"12346VNKgX"  # links, devices, pipes, labels, and headers that say nothing about the next file
_KINDS: dict[int, Kind] = dict.fromkeys(_FOLDERS, "folder")


@dataclass(frozen=True, slots=True)
class TarMember:
    """One entry of a tar and where its content lies.

    The size is one byte more than there is where the file ends too early: reading will notice.
    """

    name: str
    start: int
    size: int
    kind: Kind = "file"


def tar_members(path: Path) -> Iterator[TarMember]:
    """Yield the files and folders of a tar; damage that hides what follows is yielded last, without a name.

    Raises:
        OSError: while iterating: the file cannot be read.
    """
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        at, stated = 0, dict[str, str]()
        while at < end and (header := _block(file, at)):
            if len(header) < BLOCK or not _is_sound(header):
                yield TarMember("", at, end - at, "broken")
                return
            kind = header[156]
            size = _size(header, stated)
            content_at = at + BLOCK
            at = content_at + -(-size // BLOCK) * BLOCK
            if kind in b"xL":
                if size > LARGEST_HEADER or at > end:
                    yield TarMember("", content_at, end - content_at, "broken")
                    return
                file.seek(content_at)
                stated |= _stated(kind, file.read(size))
                continue
            if kind not in _NO_FILES:
                is_sparse = kind in b"S" or any(key.startswith("GNU.sparse") for key in stated)
                found: Kind = "broken" if is_sparse else _KINDS.get(kind, "file")
                name = (stated.get("path") or _name(header)).removeprefix("./")
                yield TarMember(name, content_at, min(size, end - content_at + 1), found)
            stated = {}


def _block(file: BinaryIO, at: int) -> bytes:
    """Return the header at a place, or nothing where the tar ends: at its last byte or a block of zeros."""
    file.seek(at)
    header = file.read(BLOCK)
    return header if header.strip(b"\0") else b""


def _is_sound(header: bytes) -> bool:
    stated = header[148:156].strip(b" \0")
    return (
        bool(stated)
        and not stated.strip(b"01234567")
        and int(stated, 8) == sum(header[:148]) + 8 * 32 + sum(header[156:])
    )


def _size(header: bytes, stated: dict[str, str]) -> int:
    told = stated.get("size", "")
    if told.isascii() and told.isdigit() and len(told) < 20:
        return int(told)
    field = header[124:136]
    if field[0] == 0x80:
        return int.from_bytes(field[4:], "big")
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else 0


def _name(header: bytes) -> str:
    name, prefix = (os.fsdecode(field.partition(b"\0")[0]) for field in (header[:100], header[345:500]))
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _stated(kind: int, content: bytes) -> dict[str, str]:
    """Return what a header says about the next file: its long name, or records of length, key and value."""
    if kind in b"L":
        return {"path": os.fsdecode(content.partition(b"\0")[0])}
    found: dict[str, str] = {}
    at = 0
    while at < len(content):
        digits = content[at : at + 8].partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = content[at + len(digits) + 1 : at + length - 1]
        key, equals, value = record.partition(b"=")
        if not length or not equals:
            break
        found[os.fsdecode(key)] = os.fsdecode(value)
        at += length
    return found
