"""A person out of a prepared dataset: own messages become rejects, others' no longer tell who it was."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class ErasedDataset:
    """What an erasure changed in a dataset; ``digest`` is what models and indexes were made of before."""

    folder: Path
    digest: str
    erased: int
    cleaned: int
    held: dict[str, int]


@dataclass(slots=True)
class _Tables:
    """The tables as they will be; a dataset is rewritten as a whole or not at all."""

    messages: list[Row] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    chunks: list[Row] = field(default_factory=list)
    duplicates: list[Row] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)


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
    ids = {row["message_id"] for row in copies} | {row["duplicate_of"] for row in copies}
    kept: dict[str, Row] = {}
    holds: dict[str, str] = {}
    for row in messages_of(files, list(NEEDED)):
        if row["message_id"] in ids:
            kept[row["message_id"]] = {**row, "sent_at": None}
            holds[row["message_id"]] = orders.held_by(row)
    held: dict[str, str] = {}
    for copy in copies:
        hold = holds.get(copy["message_id"])
        if hold is None and (alike := kept.get(copy["duplicate_of"])):
            hold = orders.held_by({**alike, "source": copy["source"]})
        if hold:
            held[copy["duplicate_of"]] = hold
    return held


def erase_dataset(folder: Path, eraser: Eraser, message_ids: Collection[str] = ()) -> ErasedDataset:
    """Rewrite a dataset without the erased; ``message_ids`` are theirs, known from elsewhere.

    The counts balance before and after: what goes is a reject with the reason ``erased``. Held
    messages stay as they are. The folder is replaced in one step.
    """
    manifest, tally = read_manifest(folder), Tally(message_ids=set(message_ids))
    tables = _Tables(rejects=list(rows_of(files_of(folder, "rejects"))))
    gone = _messages(folder, eraser, tally, tables)
    gone |= _duplicates(folder, tally, tables)
    chunks_changed = _chunks(folder, tables)
    questions_changed = _questions(folder, eraser, tally, tables)
    changed = bool(gone) or bool(tally.cleaned) or chunks_changed or questions_changed
    if changed:
        _write(folder, tables, _recounted(manifest, tables, gone))
    return ErasedDataset(folder, manifest.digest, len(gone), tally.cleaned, dict(tally.holds))


def _messages(folder: Path, eraser: Eraser, tally: Tally, tables: _Tables) -> set[str]:
    gone: set[str] = set()
    for row in rows_of(files_of(folder)):
        fate, hold = eraser.fate(row)
        if fate == "held":
            tally.holds[hold] += 1
            tally.held_ids.add(row["message_id"])
        elif fate == "erased" or row["message_id"] in tally.message_ids:
            tally.message_ids.add(row["message_id"])
            gone.add(row["message_id"])
            tables.rejects.append(_reject(row))
            continue
        cleaned = row if fate == "held" else eraser.cleaned(row)
        tally.cleaned += cleaned != row
        tables.messages.append(cleaned)
    return gone


def _duplicates(folder: Path, tally: Tally, tables: _Tables) -> set[str]:
    """Take out the copies that the erased sent, and whatever says the same as an erased message."""
    gone: set[str] = set()
    for row in rows_of(files_of(folder, "duplicates")):
        if {row["message_id"], row["duplicate_of"]} & tally.message_ids:
            gone.add(row["message_id"])
            tables.rejects.append(_reject(row))
        else:
            tables.duplicates.append(row)
    return gone


def _chunks(folder: Path, tables: _Tables) -> bool:
    """Cut the chunks anew from the messages, at the same places."""
    by_id = {row["message_id"]: row for row in tables.messages}
    changed = False
    for row in rows_of(files_of(folder, "chunks")):
        message = by_id.get(row["message_id"])
        if message is None:
            changed = True
            continue
        text = message["text"][row["start"] : row["end"]]
        cut = {**row, "text": text, "subject": message["subject"]}
        changed |= cut != row
        tables.chunks.append(cut)
    return changed


def _questions(folder: Path, eraser: Eraser, tally: Tally, tables: _Tables) -> bool:
    changed = False
    for row in rows_of(files_of(folder, "questions")):
        left = [each for each in row["message_ids"] if each not in tally.message_ids]
        cleaned = {**eraser.cleaned(row), "message_ids": left}
        if row["answerable"] and not left:
            cleaned |= {"answer": "", "answerable": False}
        changed |= cleaned != row
        tables.questions.append(cleaned)
    return changed


def _reject(row: Row) -> Row:
    provenance = {name: row.get(name) for name in PROVENANCE}
    return {**provenance, "reason": "erased", "stage": STAGE["erased"]}


def _recounted(before: Manifest, tables: _Tables, gone: Collection[str]) -> Manifest:
    """Return the manifest of what is left; its note says which content it was, and is no longer."""
    by_source = {
        source: replace(counts, kept=0, duplicates=0, rejects=0)
        for source, counts in before.by_source.items()
    }
    for name, rows in (
        ("kept", tables.messages),
        ("duplicates", tables.duplicates),
        ("rejects", tables.rejects),
    ):
        for source, count in Counter(top_of(row["source"]) for row in rows).items():
            by_source[source] = replace(by_source[source], **{name: count})
    _require_balance(by_source)
    labels, by_label_source = (_counted(tables.messages, name) for name in ("label", "label_source"))
    return replace(
        before,
        by_source=by_source,
        counts=replace(
            before.counts,
            kept=len(tables.messages),
            duplicates=len(tables.duplicates),
            rejects=len(tables.rejects),
        ),
        reasons=_counted(tables.rejects, "reason"),
        splits=_counted(tables.messages, "split"),
        labels=labels,
        channels=_counted(tables.messages, "channel"),
        languages=_counted(tables.messages, "language"),
        chunks=len(tables.chunks),
        labelled=sum(labels.values()),
        label_sources=tuple(
            replace(each, labels=by_label_source.get(each.name, 0)) for each in before.label_sources
        ),
        digest=hashlib.sha256("\n".join([before.digest, "erased", *sorted(gone)]).encode()).hexdigest(),
        former_digests=(*before.former_digests, before.digest),
        notes=(*before.notes, f"erasure: {len(gone):,} messages left dataset {before.digest[:16]}"),
    )


def _require_balance(by_source: dict[str, Counts]) -> None:
    for source, counts in by_source.items():
        if not counts.balance:
            raise RuntimeError(f"{source} does not balance after the erasure; nothing was written")


def _counted(rows: list[Row], column: str) -> dict[str, int]:
    return dict(sorted(Counter(row[column] for row in rows if row[column] is not None).items()))


def _write(folder: Path, tables: _Tables, manifest: Manifest) -> None:
    contents = {name: getattr(tables, name) for name in TABLES}
    contents["rejects"].sort(key=lambda row: (row["source"], row["locator"]))
    with write_atomically(folder) as part:
        for name, rows in contents.items():
            (part / name).mkdir(parents=True)
            pq.write_table(
                pa.Table.from_pylist(rows, schema=TABLES[name]),
                part / name / "part-0.parquet",
                compression="zstd",
                row_group_size=ROWS_PER_GROUP,  # whoever reads one message reads its group
            )
        (part / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
