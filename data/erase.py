"""A person out of a prepared dataset: own messages become rejects, others' no longer tell who it was."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.dataset import MANIFEST, read_manifest
from data.erasing import NEEDED, Eraser, Row, Tally, messages_of, rows_of
from data.retain import PROVENANCE, STAGE
from data.retention import Orders
from data.schema import TABLES, Counts, Manifest, top_of
from data.workspace import write_atomically

ROWS_PER_GROUP = 1_000
COUNTED = {
    "messages": ("split", "label", "label_source", "channel", "language"),
    "rejects": ("reason",),
    **dict.fromkeys(("chunks", "duplicates", "questions"), ()),
}


@dataclass(frozen=True, slots=True)
class ErasedDataset:
    """What an erasure changed in a dataset; ``digest`` is what models and indexes were made of before."""

    folder: Path
    digest: str
    erased: int
    cleaned: int
    held: dict[str, int]


def datasets_below(root: Path) -> list[Path]:
    """Return the folders of all prepared datasets of a workspace."""
    return sorted(path.parent for path in root.rglob(MANIFEST) if (path.parent / "messages").is_dir())


def files_of(folder: Path, table: str = "messages") -> list[Path]:
    return sorted((folder / table).glob("*.parquet"))


def held_through_copies(folders: Sequence[Path], files: Sequence[Path], orders: Orders) -> dict[str, str]:
    """Return the kept messages of datasets of which a copy is held, and the hold.

    The text of a copy stands in the message that was kept for it alone: it must stay. A copy that no
    file of messages holds is judged by its place and by what it repeats; its date is not known.
    """
    if not orders.holds:
        return {}
    copies = [row for folder in folders for row in rows_of(files_of(folder, "duplicates"))]
    ids = {row["message_id"] for row in copies}
    copies_of: dict[str, list[Row]] = {}
    for copy in copies:
        copies_of.setdefault(copy["duplicate_of"], []).append(copy)
    by_itself: dict[str, str] = {}  # the hold on a copy, by its own row
    by_place: dict[tuple[str, str], str] = {}  # the same, by what it repeats and where it lies
    for row in messages_of(files, list(NEEDED)):
        if row["message_id"] in ids:
            by_itself[row["message_id"]] = orders.held_by(row)
        for copy in copies_of.get(row["message_id"], ()):
            alike = {**row, "sent_at": None, "source": copy["source"]}
            by_place[copy["message_id"], copy["duplicate_of"]] = orders.held_by(alike)
    held: dict[str, str] = {}
    for copy in copies:
        message_id, kept = copy["message_id"], copy["duplicate_of"]
        if hold := by_itself.get(message_id, by_place.get((message_id, kept), "")):
            held[kept] = hold
    return held


def erase_dataset(folder: Path, eraser: Eraser, message_ids: Collection[str] = ()) -> ErasedDataset:
    """Rewrite a dataset without the erased; ``message_ids`` are theirs, known from elsewhere.

    The counts balance before and after: what goes is a reject with the reason ``erased``. Held
    messages stay as they are. The folder is replaced in one step.
    """
    manifest = read_manifest(folder)
    tried = _Pass(folder, eraser, Tally(message_ids=set(message_ids)))
    for table in TABLES:
        for _ in tried.rows(table):
            if tried.is_changed:
                break
    if not tried.is_changed:
        return ErasedDataset(folder, manifest.digest, 0, 0, dict(tried.tally.holds))
    done = _Pass(folder, eraser, Tally(message_ids=set(message_ids)))
    with write_atomically(folder) as part:
        for table in TABLES:
            (part / table).mkdir(parents=True)
            _write(part / table / "part-0.parquet", TABLES[table], done.rows(table))
        (part / MANIFEST).write_text(_recounted(manifest, done).to_json(), encoding="utf-8")
    return ErasedDataset(folder, manifest.digest, len(done.gone), done.tally.cleaned, dict(done.tally.holds))


@dataclass(slots=True)
class _Pass:
    """One reading of a dataset, table by table in the order of ``TABLES``, row by row: what is left of it.

    Kept in memory is what is known of the messages that the erasure touches, and no other row.
    """

    folder: Path
    eraser: Eraser
    tally: Tally
    gone: set[str] = field(default_factory=set)
    rejects: list[Row] = field(default_factory=list)
    cleaned: dict[str, tuple[str, str]] = field(default_factory=dict)  # subject and text, by message
    counted: dict[str, Counter[str]] = field(default_factory=dict)  # by table and column
    is_changed: bool = False

    def rows(self, table: str) -> Iterator[Row]:
        """Yield what is left of a table, and count it."""
        left = getattr(self, f"_{table}")
        counts = {name: self.counted.setdefault(f"{table}.{name}", Counter()) for name in COUNTED[table]}
        sources = self.counted.setdefault(f"{table}.source", Counter())
        total = self.counted.setdefault(table, Counter())
        for row in left():
            total[""] += 1
            if "source" in row:
                sources[top_of(row["source"])] += 1
            for name, count in counts.items():
                if row[name] is not None:
                    count[row[name]] += 1
            yield row

    def _messages(self) -> Iterator[Row]:
        tally = self.tally
        for row in rows_of(files_of(self.folder)):
            fate, hold = self.eraser.fate(row)
            if fate == "held":
                tally.holds[hold] += 1
                tally.held_ids.add(row["message_id"])
            elif fate == "erased" or row["message_id"] in tally.message_ids:
                tally.message_ids.add(row["message_id"])
                self._goes(row)
                continue
            cleaned = row if fate == "held" else self.eraser.cleaned(row)
            if cleaned != row:
                self.is_changed = True
                tally.cleaned += 1
                self.cleaned[row["message_id"]] = (cleaned["subject"], cleaned["text"])
            yield cleaned

    def _duplicates(self) -> Iterator[Row]:
        """Take out the copies that the erased sent, and whatever says the same as an erased message."""
        for row in rows_of(files_of(self.folder, "duplicates")):
            if {row["message_id"], row["duplicate_of"]} & self.tally.message_ids:
                self._goes(row)
            else:
                yield row

    def _chunks(self) -> Iterator[Row]:
        """Cut the chunks of cleaned messages anew, at the same places."""
        for row in rows_of(files_of(self.folder, "chunks")):
            if row["message_id"] in self.gone:
                self.is_changed = True
            elif row["message_id"] in self.cleaned:
                subject, text = self.cleaned[row["message_id"]]
                yield {**row, "text": text[row["start"] : row["end"]], "subject": subject}
            else:
                yield row

    def _questions(self) -> Iterator[Row]:
        for row in rows_of(files_of(self.folder, "questions")):
            left = [each for each in row["message_ids"] if each not in self.tally.message_ids]
            cleaned = {**self.eraser.cleaned(row), "message_ids": left}
            if row["answerable"] and not left:
                cleaned |= {"answer": "", "answerable": False}
            self.is_changed |= cleaned != row
            yield cleaned

    def _rejects(self) -> Iterator[Row]:
        """Yield the rejects that there were, in whose order they stand, and the new ones among them."""
        before = rows_of(files_of(self.folder, "rejects"))
        return heapq.merge(before, sorted(self.rejects, key=_place), key=_place)

    def _goes(self, row: Row) -> None:
        self.is_changed = True
        self.gone.add(row["message_id"])
        provenance = {name: row.get(name) for name in PROVENANCE}
        self.rejects.append({**provenance, "reason": "erased", "stage": STAGE["erased"]})


def _place(row: Row) -> tuple[str, int]:
    return row["source"], row["locator"]


def _recounted(before: Manifest, done: _Pass) -> Manifest:
    """Return the manifest of what is left; its note says which content it was, and is no longer."""
    by_source = {
        source: replace(counts, kept=0, duplicates=0, rejects=0)
        for source, counts in before.by_source.items()
    }
    totals = {}
    for name, table in (("kept", "messages"), ("duplicates", "duplicates"), ("rejects", "rejects")):
        totals[name] = done.counted[table][""]
        for source, count in done.counted[f"{table}.source"].items():
            by_source[source] = replace(by_source[source], **{name: count})
    _require_balance(by_source)
    labels, by_label_source = (_sorted(done, f"messages.{name}") for name in ("label", "label_source"))
    return replace(
        before,
        by_source=by_source,
        counts=replace(before.counts, **totals),
        reasons=_sorted(done, "rejects.reason"),
        splits=_sorted(done, "messages.split"),
        labels=labels,
        channels=_sorted(done, "messages.channel"),
        languages=_sorted(done, "messages.language"),
        chunks=done.counted["chunks"][""],
        labelled=sum(labels.values()),
        label_sources=tuple(
            replace(each, labels=by_label_source.get(each.name, 0)) for each in before.label_sources
        ),
        digest=hashlib.sha256("\n".join([before.digest, "erased", *sorted(done.gone)]).encode()).hexdigest(),
        former_digests=(*before.former_digests, before.digest),
        notes=(*before.notes, f"erasure: {len(done.gone):,} messages left dataset {before.digest[:16]}"),
    )


def _require_balance(by_source: dict[str, Counts]) -> None:
    for source, counts in by_source.items():
        if not counts.balance:
            raise RuntimeError(f"{source} does not balance after the erasure; nothing was written")


def _sorted(done: _Pass, name: str) -> dict[str, int]:
    return dict(sorted(done.counted[name].items()))


def _write(path: Path, schema: pa.Schema, rows: Iterator[Row]) -> None:
    """Write a table a group at a time: whoever reads one message reads its group."""
    group = list(islice(rows, ROWS_PER_GROUP))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        writer.write_table(pa.Table.from_pylist(group, schema=schema))  # an empty table has a group, too
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
