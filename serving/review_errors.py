"""The worst errors of a release that waits, with their redacted texts: as far as a reviewer may see them.

The evaluation names messages and places in them, never words; the words are read here, from the dataset
that was judged, under the scope of whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from data.dataset import read_manifest
from data.schema import TABLES, top_of
from data.workspace import UserError, locate
from serving.digest import file_digest
from serving.index import MARKER, read_index
from serving.kept import kept_path
from serving.limits import seconds_left
from serving.reviews import GATE, ChangedEvidenceError, evidence_of, listed_errors, pending_release
from serving.scope import Scope

LONGEST = 10_000  # characters of a message that are shown and searched for evidence; a classifier reads fewer
READ_S = 60.0
LIMITED_BY = ("message_id", "channel", "label", "language", "sent_at", "source")
SHOWN = ("message_id", "thread_id", "channel", "sent_at", "subject", "text")


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of ``f"{subject}\\n{text}"``, and by how much the answer's probability falls without it."""

    start: int
    end: int
    fall: float


@dataclass(frozen=True, slots=True)
class ShownError:
    """One wrong answer with its message; ``sentence`` is what the answer rests on, ``words`` lie in it."""

    message_id: str
    thread_id: str
    channel: str
    sent_at: str | None
    subject: str
    text: str
    left_out: int  # characters behind the cut
    label: str
    predicted: str
    confidence: float
    critical: bool
    sentence: Mark | None
    words: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class ReviewErrors:
    """What a release got wrong; ``withheld`` counts what is not the caller's to see, or is gone."""

    release: str
    errors: tuple[ShownError, ...]
    withheld: int


def errors_of(release_id: str, scope: Scope) -> ReviewErrors | None:
    """Return the worst errors of a release that waits for its decision; None when none so called does.

    Raises:
        ChangedEvidenceError: the decision log, the evaluation or the index is not what was proposed.
        UserError: the dataset that was judged is gone.
        DeadlineError: the request's time was over before all of it was looked through.
    """
    release = pending_release(release_id)
    if release is None:
        return None
    listed = listed_errors(json.loads(evidence_of(release, GATE) or "{}"))
    if not listed:
        return ReviewErrors(release_id, (), 0)
    rows = _messages(_dataset_of(release), [str(error["message_id"]) for error in listed], scope)
    shown = tuple(_shown(error, rows[error["message_id"]]) for error in listed if error["message_id"] in rows)
    return ReviewErrors(release_id, shown, len(listed) - len(shown))


def cut(subject: str, text: str) -> tuple[str, str, int]:
    """Return subject and text as far as they are shown, and how many characters are left out."""
    kept = text[: max(0, LONGEST - len(subject))]
    return subject[:LONGEST], kept, len(subject) + len(text) - len(subject[:LONGEST]) - len(kept)


def _dataset_of(release: Mapping[str, Any]) -> Path:
    """Return where the dataset lies that was judged, by the index that was proposed with it."""
    marker = Path(str(release["index"])) / MARKER
    if not marker.is_file():
        raise UserError("the index of this release is gone, and with it where its messages lie")
    if file_digest(marker) != release["index_digest"]:
        raise ChangedEvidenceError(f"the index of release {release['id']} was changed after it was proposed")
    index = read_index(marker.parent)
    for folder in (locate(index.dataset), kept_path("dataset", index.dataset_digest)):
        with suppress(UserError):  # gone, and maybe kept
            if index.dataset_digest in read_manifest(folder).names:
                return folder
    raise UserError("the dataset that this release was judged on is gone, or another one by now")


def _messages(dataset: Path, message_ids: Sequence[str], scope: Scope) -> dict[str, dict[str, Any]]:
    """Return those of the messages that lie in the scope.

    First what the limits ask for is read, of all messages, and then words of no other row group than theirs.
    """
    named = pc.field("message_id").isin(pa.array(message_ids, pa.string()))
    condition = named & scope.condition(_copied(dataset, message_ids, scope.custodians))
    found: dict[str, dict[str, Any]] = {}
    files = ds.dataset(dataset / "messages", schema=TABLES["messages"], format="parquet").get_fragments()
    for part in (group for file in files for group in file.split_by_row_group()):
        seconds_left(READ_S)
        limited = part.to_table(schema=TABLES["messages"], columns=list(LIMITED_BY), filter=condition)
        if limited.num_rows:
            rows = part.to_table(schema=TABLES["messages"], columns=list(SHOWN), filter=condition)
            found |= {row["message_id"]: row for row in rows.to_pylist()}
    return found


def _copied(dataset: Path, message_ids: Sequence[str], custodians: Collection[str]) -> list[str]:
    """Return those of the messages of which one of the custodians holds a copy."""
    if not custodians:
        return []
    copies = ds.dataset(dataset / "duplicates", schema=TABLES["duplicates"], format="parquet").to_table(
        columns=["duplicate_of", "source"],
        filter=pc.field("duplicate_of").isin(pa.array(message_ids, pa.string())),
    )
    return [row["duplicate_of"] for row in copies.to_pylist() if top_of(row["source"]) in custodians]


def _shown(error: Mapping[str, Any], row: Mapping[str, Any]) -> ShownError:
    subject, text, left_out = cut(row["subject"] or "", row["text"] or "")
    return ShownError(
        message_id=row["message_id"],
        thread_id=row["thread_id"],
        channel=row["channel"],
        sent_at=row["sent_at"].isoformat() if row["sent_at"] else None,
        subject=subject,
        text=text,
        left_out=left_out,
        label=str(error["label"]),
        predicted=str(error["predicted"]),
        confidence=float(error["confidence"]),
        critical=bool(error["critical"]),
        sentence=Mark(**error["sentence"]) if error.get("sentence") else None,
        words=tuple(Mark(**word) for word in error.get("words", ())),
    )
