"""Erased messages out of every index and bundle: Milvus keeps deleted rows, so files are written anew."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.normalise import without_digits
from data.workspace import UserError, home, write_atomically
from serving.bundle import MANIFEST, copy_bundle, read_bundle
from serving.decisions import record_deployed
from serving.digest import file_digest, files_below
from serving.index import LITE_FILE, MARKER, STORED, Index, _clip, read_index, write_collection
from serving.milvus import milvus_client

ERASED = "erased.json"
ROWS = 1_000
EVERY_ROW = "chunk_id != ''"

Changed = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ErasedIndex:
    """What left an index: rows of erased messages, and chunks whose vector still meant erased words."""

    folder: Path
    removed: int
    cleaned: int
    is_on_server: bool


@dataclass(frozen=True, slots=True)
class ErasedBundle:
    """A bundle that was written anew under a new digest."""

    before: str
    now: str
    folder: Path


def indexes_below(root: Path) -> list[Path]:
    """Return the folders of all indexes of a workspace, those inside bundles too."""
    return sorted({path.parent.resolve() for path in root.rglob(MARKER)})


def bundles_below(root: Path) -> list[Path]:
    return sorted(
        {path.parent.resolve() for path in root.rglob(MANIFEST) if (path.parent / "thresholds.json").exists()}
    )


def require_closed(indexes: Sequence[Path]) -> None:
    """Open every index once, before anything is erased.

    Raises:
        UserError: one is open in another process, or its server does not answer.
    """
    for folder in indexes:
        stated = read_index(folder)
        with milvus_client(stated.uri or str(folder / LITE_FILE)):
            pass


def erase_from_index(folder: Path, message_ids: Collection[str], changed: Changed) -> ErasedIndex:
    """Take messages out of an index; ``changed`` has the new subject and text of others, by message.

    ``index.json`` stays what was decided on; ``erased.json`` beside it says that rows have left.
    """
    stated = read_index(folder)
    if stated.uri:
        return _erase_on_server(folder, stated, message_ids, changed)
    removed = kept = cleaned = 0
    with milvus_client(str(folder / LITE_FILE)) as client:
        for rows in _batches(client, stated.collection, EVERY_ROW):
            staying, now = _without(rows, message_ids, changed)
            removed, kept, cleaned = removed + len(rows) - len(staying), kept + len(staying), cleaned + now
    erased = ErasedIndex(folder, removed, cleaned, is_on_server=False)
    if not (removed or cleaned):
        return erased
    if not kept:
        shutil.rmtree(folder)
        return erased
    with write_atomically(folder) as unfinished:
        unfinished.mkdir()
        with (
            milvus_client(str(folder / LITE_FILE)) as source,
            milvus_client(str(unfinished / LITE_FILE)) as target,
        ):
            batches = _batches(source, stated.collection, EVERY_ROW)
            left = (row for rows in batches for row in _without(rows, message_ids, changed)[0])
            write_collection(target, stated.collection, left, count=kept, dimension=stated.dimension)
        shutil.copyfile(folder / MARKER, unfinished / MARKER)
        (unfinished / ERASED).write_text(json.dumps({"removed": removed, "cleaned": cleaned}))
    return erased


def renew_bundle(folder: Path) -> ErasedBundle | None:
    """Write the manifest of a bundle whose index has changed; the pointer follows it to its new name.

    Interrupted, it is called again and goes on: the manifest says which name the folder had.
    """
    before = read_bundle(folder)
    document = json.loads((folder / MANIFEST).read_text())
    index = {f"index/{name}": file_digest(folder / "index" / name) for name in files_below(folder / "index")}
    files = {name: digest for name, digest in before.files.items() if not name.startswith("index/")} | index
    if files == before.files:
        former = next((each for each in document.get("erased_from", []) if each[:12] == folder.name), "")
        return ErasedBundle(former, before.digest, _renamed(folder, before.digest)) if former else None
    document |= {"files": files, "erased_from": [*document.get("erased_from", []), before.digest]}
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    with write_atomically(folder / MANIFEST) as unfinished:
        unfinished.write_text(text)
    is_kept = folder.name in {each[:12] for each in document["erased_from"]}
    return ErasedBundle(before.digest, digest, _renamed(folder, digest) if is_kept else folder)


def _renamed(folder: Path, digest: str) -> Path:
    """Bring a kept bundle to the name of its digest, with a pointer that dangles at no moment.

    No file system moves a folder and a link in one step: the pointer moves to a copy that shares its
    bytes, and then the folder goes, its manifest first, so that what is left of it is no bundle.
    """
    moved = folder.with_name(digest[:12])
    if not (moved / MANIFEST).exists():
        with write_atomically(moved) as unfinished:
            copy_bundle(folder, unfinished)
    pointer = home() / "live"
    if pointer.resolve() == folder.resolve():
        with suppress(UserError):  # what nobody decided on, or a log that is broken, is not served either
            record_deployed(read_bundle(moved).release_id, digest)
        temporary = pointer.with_name(".live.erased")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(moved)
        os.replace(temporary, pointer)
    (folder / MANIFEST).unlink()
    shutil.rmtree(folder)
    return moved


def _without(
    rows: list[dict[str, Any]], message_ids: Collection[str], changed: Changed
) -> tuple[list[dict[str, Any]], int]:
    """Return what stays. Vectors never saw pseudonyms' digits, but a vector of masked words must go."""
    kept, cleaned = [], 0
    for row in rows:
        if row["message_id"] in message_ids:
            continue
        if row["message_id"] not in changed:
            kept.append(row)
            continue
        subject, text = changed[row["message_id"]]
        now = {"subject": _clip(subject), "text": _clip(text[row["start"] : row["end"]])}
        if any(without_digits(now[name]) != without_digits(row[name]) for name in now):
            continue
        cleaned += any(now[name] != row[name] for name in now)
        kept.append({**row, **now, "words": _clip(f"{now['subject']}\n{now['text']}")})
    return kept, cleaned


def _batches(client: Any, collection: str, condition: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows that meet a condition, a few at a time: with its vector one has some kilobytes."""
    client.load_collection(collection)
    iterator = client.query_iterator(collection, batch_size=ROWS, filter=condition, output_fields=STORED)
    while batch := iterator.next():
        yield [{name: row[name] for name in STORED} for row in batch]
    iterator.close()


def _erase_on_server(
    folder: Path, stated: Index, message_ids: Collection[str], changed: Changed
) -> ErasedIndex:
    """Replace the cleaned rows, delete the others, ask for compaction: bytes go in the server's own time.

    In this order an interruption loses no row that should stay.
    """
    removed = cleaned = 0
    concerned = sorted({*message_ids, *changed})
    with milvus_client(stated.uri) as client:
        if not client.has_collection(stated.collection):
            return ErasedIndex(folder, 0, 0, is_on_server=True)
        for start in range(0, len(concerned), ROWS):
            condition = f"message_id in {json.dumps(concerned[start : start + ROWS])}"
            rows = [row for batch in _batches(client, stated.collection, condition) for row in batch]
            kept, count = _without(rows, message_ids, changed)
            if kept:
                client.upsert(stated.collection, kept)
            staying = {row["chunk_id"] for row in kept}
            if gone := [row["chunk_id"] for row in rows if row["chunk_id"] not in staying]:
                client.delete(stated.collection, ids=gone)
            removed, cleaned = removed + len(rows) - len(kept), cleaned + count
        client.flush(stated.collection)
        client.compact(stated.collection)
    return ErasedIndex(folder, removed, cleaned, is_on_server=True)
