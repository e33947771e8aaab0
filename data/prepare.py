"""Prepare an archive: read, normalise, redact, dedupe, split, chunk. Counts balance or nothing is written."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from data import feedback
from data.assign import Assignment, Index, assign, read_index
from data.dataset import MANIFEST
from data.erasing import Eraser, clean_table, eraser_of
from data.governance import record
from data.incremental import recall
from data.labels import Question, read_labels, read_questions
from data.landing import gather, is_landing
from data.outputs import manifest_of, write_duplicates, write_manifest, write_questions, write_rejects
from data.progress import stage
from data.retain import Retained, retain
from data.retention import Orders, orders_of
from data.review import settled_labels
from data.schema import Manifest
from data.sources import LABELS, QUESTIONS, Item, discover
from data.spark import session
from data.stages import find_links, take_in, write_chunks, write_messages
from data.unsaid import unsaid
from data.workspace import UserError, home, locate, secret, write_atomically


def prepare(
    archive: str,
    prepared: str | Path,
    *,
    labels: str = "",
    seed: int = 7,
    spark_master: str = "local[*]",
    reread: bool = False,
    retention: str = "",
) -> Manifest:
    """Write the prepared dataset of an archive and return its manifest.

    ``archive`` is a folder, a file, the landing of a stream, or "sample", which is then written first.
    ``labels`` is a CSV with the columns source and label; by default the archive's own labels.csv. What
    reviewers have settled in this workspace overrules it.
    What stood at ``prepared`` is replaced when everything has succeeded, and stays otherwise. Of an
    archive that was prepared before, only what has changed since is read, unless ``reread`` is set; the
    dataset is the same either way. ``retention`` is a policy of what expires and what is held; whoever was
    erased stays erased without it, and who is held stays held.

    Raises:
        UserError: the archive is missing, empty or unreadable, the policy is wrong, no label matches,
            the disk is full.
        RuntimeError: the counts of a source do not balance; nothing is written then.
    """
    folder, place = locate(prepared), _archive(archive, seed)
    _refuse_to_replace_other_files(folder, place)
    found = _found(place, labels)
    key = secret("redaction")
    orders = orders_of(retention, key=key)
    with (
        _unwritable_in_one_line(folder),
        recall(place, found.items, key, forget=reread, orders=orders.digest) as memory,
        write_atomically(folder) as part,
        session(spark_master) as spark,
    ):
        part.mkdir()
        taken = part / "taken_in"
        with stage("take in", spark) as done:
            if fresh := memory.fresh(found.items):
                take_in(spark, fresh, taken, key)
            known = gather(place, taken) if found.is_stream else memory.carry_over(taken)
            eraser = eraser_of(orders, sorted(taken.glob("*.parquet")))
            retained = retain(taken, eraser)
            forgotten = feedback.erase(retained.message_ids)
            settled = settled_labels()
            index = read_index(taken)
            done.said = f"{len(index.message_ids):,} messages, redacted; {known}"
            done.said += "" if orders.asks_for_nothing else f"; {retained}"
        with stage("dedupe", spark) as done:
            links = find_links(spark, taken, index)
            assigned = assign(index, links, found.labels, seed=seed, reviewed=settled.labels)
            done.said = f"{len(assigned.copies):,} duplicates"
        with stage("write", spark) as done:
            write_messages(spark, taken, part / "messages", index, assigned)
            _write_small_tables(part, found, index, assigned, eraser, taken=taken, key=key)
            done.said = f"{len(assigned.kept_ranks):,} messages, {len(found.questions):,} questions"
        with stage("chunk", spark) as done:
            write_chunks(spark, part / "messages", part / "chunks")
            manifest = manifest_of(part, taken, assigned, found.labels, seed=seed, reviewed=settled)
            done.said = f"{manifest.chunks:,} chunks"
        if found.is_stream:
            shutil.rmtree(taken)  # the landing itself remembers
        else:
            memory.remember(taken, found.items)
        write_manifest(part, manifest)
    _record(retained, orders, manifest, forgotten)
    return manifest


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    """What lies in an archive: its files, none of which is read yet, and what labels and asks of them."""

    items: Sequence[Item]
    labels: Mapping[str, str]
    questions: Sequence[Question]
    is_stream: bool


def _found(place: Path, labels: str) -> _Found:
    root = place if place.is_dir() else place.parent
    labels_path = locate(labels) if labels else root / LABELS
    is_stream = is_landing(place)
    with stage("discover") as done:
        with unsaid("looking through the archive"):
            items = [] if is_stream else discover(place, skipped=(labels_path,))
        done.said = "the landing of a stream" if is_stream else f"{len(items):,} files and ranges"
    with unsaid("reading labels and questions"):
        stated = read_labels(labels_path) if labels or labels_path.is_file() else {}
        return _Found(items, stated, read_questions(root / QUESTIONS), is_stream)


def _write_small_tables(
    part: Path, found: _Found, index: Index, assigned: Assignment, eraser: Eraser, *, taken: Path, key: bytes
) -> None:
    write_duplicates(part / "duplicates", index, assigned)
    write_rejects(part / "rejects", taken)
    with unsaid("writing the questions"):
        write_questions(part / "questions", found.questions, found.items, index, assigned, key=key)
    clean_table(part / "questions", eraser)


def _record(retained: Retained, orders: Orders, manifest: Manifest, forgotten: int) -> None:
    if orders.asks_for_nothing:
        return
    counts = {name: value for name, value in asdict(retained).items() if name != "message_ids"}
    record("retention run", dataset=manifest.digest, orders=orders.digest, feedback=forgotten, **counts)


def _archive(archive: str, seed: int) -> Path:
    if archive != "sample":
        place = locate(archive)
        if not place.exists():
            raise UserError(f"no archive at {place}; give the path of a folder, of one file, or: sample")
        return place
    from data.sample import write_sample

    folder = home() / f"sample-{seed}"
    is_complete = folder.is_dir() and folder.with_name(f"{folder.name}.truth.json").is_file()
    return folder if is_complete else write_sample(folder, seed=seed)


def _refuse_to_replace_other_files(folder: Path, archive: Path) -> None:
    """Raise a UserError when writing the dataset would delete something that is no dataset."""
    if archive.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"the dataset {folder} would replace the archive; choose another folder for it")
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists()):
        raise UserError(f"{folder} exists and is no prepared dataset; choose another folder, or delete it")


@contextmanager
def _unwritable_in_one_line(folder: Path) -> Iterator[None]:
    """Turn a full disk, seen by us or by Spark, or a forbidden one into one line."""
    try:
        yield
    except Exception as error:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if is_full or "No space left on device" in str(error):
            raise UserError(
                f"the disk is full while preparing {folder}; free space there and in {home()}, run again"
            ) from None
        if isinstance(error, PermissionError):
            place = error.filename or folder
            raise UserError(
                f"{place} cannot be read or written by this user; mend its rights, or choose another folder"
            ) from None
        raise
