"""A prepared dataset in miniature, by the schema: ninety messages of nine subjects, no Spark."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.schema import PARSER, TABLES, Counts, Manifest

SUBJECTS = {
    "Harbour lease": "The lease of the harbour warehouse ends on 30 June and the rent rises by 4 percent.",
    "Server room": "The cooling of the server room failed at night; a technician replaced the compressor.",
    "Client dinner": "The client dinner takes place in the restaurant Laterne on Thursday at eight o'clock.",
    "Copper hedge": "We hedge copper with forwards over nine months, approved by the risk committee.",
    "New hires": "Four new analysts start in September and need a desk, a phone and access to the archive.",
    "Audit": "The auditors ask for the trade confirmations of March, signed by both parties.",
    "Recorded line": "I cannot discuss this here, please call [PHONE_0a1b2c3d] on the recorded line.",
    "Rumour": "[PERSON_5e6f7a8b] heard that the merger is announced on Monday, buy before that.",
    "Parking": "The parking garage is closed for repairs until the end of the month, use the north entrance.",
}
LABELS = ("ordinary", "off_channel", "insider_information")


def write_dataset(
    folder: Path,
    *,
    copies: int = 10,
    channels: Sequence[str] = ("email",),
    languages: Sequence[str] = ("en",),
) -> Path:
    """Write the dataset with ``copies`` messages per subject, each with a number of its own.

    Channels and languages go round by subject, whatever the messages are written in.
    """
    messages, chunks = [], []
    for number in range(copies):
        for place, (subject, sentence) in enumerate(SUBJECTS.items()):
            ordinal = number * len(SUBJECTS) + place
            text = f"{sentence} This is note {ordinal} of the file, kept for the record."
            message = _message(ordinal, subject, text, split=("train", "valid", "test")[number % 3])
            message["channel"] = channels[place % len(channels)]
            message["language"] = languages[place % len(languages)]
            messages.append(message)
            chunks.append(_chunk(message))
    tables = {"messages": messages, "chunks": chunks, "duplicates": [], "rejects": [], "questions": []}
    for name, rows in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name]), folder / name / "part-0.parquet")
    count = len(messages)
    counts = Counts(read=count, kept=count)
    manifest = Manifest(
        parser=PARSER,
        seed=7,
        counts=counts,
        by_source={"made": counts},
        reasons={},
        splits=dict(Counter(str(row["split"]) for row in messages)),
        labels=dict(Counter(str(row["label"]) for row in messages)),
        channels=dict(Counter(str(row["channel"]) for row in messages)),
        languages=dict(Counter(str(row["language"]) for row in messages)),
        chunks=len(chunks),
        digest=hashlib.sha256(repr(messages).encode()).hexdigest(),
        labelled=count,
        unmatched_labels=0,
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def _message(ordinal: int, subject: str, text: str, *, split: str) -> dict[str, object]:
    return {
        "message_id": hashlib.sha256(text.encode()).hexdigest()[:24],
        "thread_id": f"thread-{ordinal // 3}",
        "channel": "email",
        "sent_at": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=ordinal),
        "sender": "[EMAIL_00000001]",
        "recipients": ["[EMAIL_00000002]"],
        "subject": subject,
        "text": text,
        "full_text": text,
        "zones": [{"kind": "body", "start": 0, "end": len(text)}],
        "language": "en",
        "attachments": [],
        "label": LABELS[ordinal % len(LABELS)],
        "split": split,
        "source": "made.mbox",
        "locator": ordinal,
        "source_sha256": "0" * 64,
        "byte_start": ordinal * 100,
        "byte_end": ordinal * 100 + 99,
        "parser": PARSER,
    }


def _chunk(message: dict[str, object]) -> dict[str, object]:
    shared = (
        "message_id",
        "thread_id",
        "text",
        "channel",
        "sent_at",
        "language",
        "split",
        "label",
        "subject",
    )
    place = {
        "chunk_id": f"{message['message_id']}:0",
        "ordinal": 0,
        "start": 0,
        "end": len(str(message["text"])),
    }
    return place | {name: message[name] for name in shared}
