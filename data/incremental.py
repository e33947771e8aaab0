"""What the last preparation of an archive has read: files that are the same are not read again.

A file is the same when size and time of change are (as make and rsync see it), under the same redaction
key and the same code. What is remembered is redacted, as everything that is ever written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from data.intake import TAKEN_IN
from data.read_chat import IN_ZIP
from data.sources import Item
from data.workspace import home, write_atomically

SEEN, TAKEN = "seen.json", "taken_in"


@dataclass(frozen=True, slots=True)
class Memory:
    """The place of what was read of one archive, and the state of its files before they are read now."""

    folder: Path
    reader: str
    states: dict[str, str]
    unchanged: frozenset[str]

    def fresh(self, items: Iterable[Item]) -> list[Item]:
        """Return the items that have to be read."""
        return [item for item in items if item.source not in self.unchanged]

    def carry_over(self, taken: Path) -> int:
        """Copy what is known of the unchanged files beside what was read now; return how many entries."""
        if not self.unchanged:
            return 0
        wanted = pc.field("source").isin(pa.array(sorted(self.unchanged), pa.string()))
        known = ds.dataset(self.folder / TAKEN, schema=TAKEN_IN, format="parquet")
        taken.mkdir(exist_ok=True)
        with pq.ParquetWriter(taken / "carried-over.parquet", TAKEN_IN, compression="zstd") as writer:
            for batch in known.to_batches(filter=wanted):
                writer.write_batch(batch)
        return len(self.unchanged)

    def remember(self, taken: Path) -> None:
        """Keep what was read, in place of what was kept before."""
        with write_atomically(self.folder) as part:
            part.mkdir()
            shutil.move(taken, part / TAKEN)
            entries = ds.dataset(part / TAKEN, schema=TAKEN_IN, format="parquet").count_rows()
            document = json.dumps({"reader": self.reader, "entries": entries, "states": self.states})
            (part / SEEN).write_text(document, encoding="utf-8", errors="backslashreplace")


def recall(archive: Path, items: Sequence[Item], key: bytes, *, forget: bool = False) -> Memory:
    """Compare the files of an archive with what was read last; ``forget`` knows of nothing."""
    name = hashlib.sha256(os.fsencode(archive.resolve())).hexdigest()[:16]
    folder = home() / "intake" / name
    states = {item.source: _state(item) for item in items}
    reader = hmac.digest(key, b"intake\0" + _code(), "sha256").hex()
    before = {} if forget else _remembered(folder, reader)
    unchanged = frozenset(source for source, state in states.items() if state and before.get(source) == state)
    return Memory(folder, reader, states, unchanged)


def _remembered(folder: Path, reader: str) -> dict[str, str]:
    """Return the states of the files that were read, or nothing where another reader did or rows are gone."""
    try:
        seen = json.loads((folder / SEEN).read_text(encoding="utf-8"))
        entries = ds.dataset(folder / TAKEN, schema=TAKEN_IN, format="parquet").count_rows()
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return seen["states"] if (seen["reader"], seen["entries"]) == (reader, entries) else {}


def _state(item: Item) -> str:
    """Return size and time of change of what an item is read from; nothing where that cannot be told."""
    context = os.fsdecode(item.context)
    index = (
        [context.partition(IN_ZIP)[0] if IN_ZIP in context else f"{context}/users.json"] if context else []
    )
    try:
        found = [
            os.stat(path)
            for path in (os.fsdecode(item.path), *(path for path in index if os.path.exists(path)))
        ]
    except OSError:
        return ""
    return " ".join(f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}" for status in found)


@lru_cache(maxsize=1)
def _code() -> bytes:
    """Return the digest of this package: another parser reads everything anew."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
