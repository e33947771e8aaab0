"""A writer of Outlook messages, small enough to see that what it writes is what the format says (MS-CFB)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

SECTOR, MINI, CUTOFF = 512, 64, 4096
END, FREE, FAT, NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF
Folder: TypeAlias = "Mapping[str, bytes | Folder]"
UTC_1601 = 11_644_473_600


def properties(header_bytes: int, **values: str | bytes | int | datetime) -> dict[str, bytes | Folder]:
    """Return the streams of properties, which are named ``p`` and four hexadecimal digits."""
    index, streams = bytes(header_bytes), {}
    for name, value in values.items():
        pid = int(name[1:], 16)
        if isinstance(value, int):
            index += struct.pack("<HHIQ", 0x0003, pid, 6, value)
        elif isinstance(value, datetime):
            index += struct.pack("<HHIQ", 0x0040, pid, 6, int(value.timestamp() + UTC_1601) * 10**7)
        else:
            kind = 0x001F if isinstance(value, str) else 0x0102
            content = value.encode("utf-16-le") if isinstance(value, str) else value
            index += struct.pack("<HHIQ", kind, pid, 6, len(content))
            streams[f"__substg1.0_{pid:04X}{kind:04X}"] = content
    return {"__properties_version1.0": index, **streams}


@dataclass
class Sectors:
    """Content in pieces of one size, and the table that says which piece follows which."""

    size: int
    content: bytes = b""
    table: list[int] = field(default_factory=list)

    def store(self, content: bytes) -> int:
        count = -(-len(content) // self.size)
        first = len(self.table)
        self.table += [*range(first + 1, first + count), END] if count else []
        self.content += content.ljust(count * self.size, b"\0")
        return first if count else END


@dataclass
class Entry:
    name: str
    kind: int
    content: bytes
    first_kid: int = NONE
    next_sibling: int = NONE


def container(root: Folder) -> bytes:
    """Return a compound file that holds a tree of folders and streams."""
    entries: list[Entry] = []
    _add(entries, "Root Entry", root, 5)
    sectors, minis = Sectors(SECTOR), Sectors(MINI)
    places = [(minis if len(entry.content) < CUTOFF else sectors).store(entry.content) for entry in entries]
    places[0] = sectors.store(minis.content)
    entries[0].content = minis.content
    mini_fat = struct.pack(f"<{len(minis.table)}L", *minis.table)
    mini_fat_sectors = -(-len(mini_fat) // SECTOR)
    mini_fat_at = sectors.store(mini_fat.ljust(mini_fat_sectors * SECTOR, b"\xff"))
    directory_at = sectors.store(b"".join(map(_directory_entry, entries, places)))
    used = len(sectors.table)
    fat_sectors = 1
    while fat_sectors * SECTOR // 4 < used + fat_sectors:
        fat_sectors += 1
    table = [*sectors.table, *[FAT] * fat_sectors]
    fat = struct.pack(f"<{len(table)}L", *table).ljust(fat_sectors * SECTOR, b"\xff")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
    header += bytes(10) + struct.pack("<LLLL", fat_sectors, directory_at, 0, CUTOFF)
    header += struct.pack("<LLLL", mini_fat_at, mini_fat_sectors, END, 0)
    header += struct.pack("<109L", *range(used, used + fat_sectors), *[FREE] * (109 - fat_sectors))
    return header + sectors.content + fat


def _add(entries: list[Entry], name: str, node: bytes | Folder, kind: int) -> int:
    number = len(entries)
    entry = Entry(name, kind, node if isinstance(node, bytes) else b"")
    entries.append(entry)
    before = None
    for kid_name, kid in () if isinstance(node, bytes) else node.items():
        added = _add(entries, kid_name, kid, 2 if isinstance(kid, bytes) else 1)
        if before is None:
            entry.first_kid = added
        else:
            entries[before].next_sibling = added
        before = added
    return number


def _directory_entry(entry: Entry, place: int) -> bytes:
    name = entry.name.encode("utf-16-le")
    written = name.ljust(64, b"\0") + struct.pack("<HBB", len(name) + 2, entry.kind, 1)
    written += struct.pack("<LLL", NONE, entry.next_sibling, entry.first_kid) + bytes(36)
    return written + struct.pack("<LQ", place, len(entry.content))
