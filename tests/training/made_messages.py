"""Messages made up for the training tests, as a prepared dataset holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.schema import MESSAGES, Counts, Manifest

TOPICS = {
    "ordinary": (
        "canteen menu",
        "The canteen serves soup and bread at noon",
        "Thanks, see you in the canteen",
    ),
    "off_channel": (
        "moving chat",
        "Write to me on my private phone tonight",
        "Fine, the private phone it is",
    ),
    "spam": ("prize draw", "You have won a voucher, claim the prize now", "Please stop sending prize mail"),
}


def message_row(number: int, **fields: Any) -> dict[str, Any]:
    row = dict.fromkeys(MESSAGES.names) | {
        "message_id": f"{number:024x}",
        "thread_id": f"t{number}",
        "channel": "email",
        "subject": "",
        "text": "",
        "split": "train",
        "source": "mail.mbox",
        "locator": number,
    }
    return row | fields


def messages_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=MESSAGES)


def write_prepared(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write what training reads of a prepared dataset: messages and manifest."""
    (folder / "messages").mkdir(parents=True)
    pq.write_table(messages_table(rows), folder / "messages" / "part-0.parquet")
    counts = Counts(read=len(rows), kept=len(rows))
    manifest = Manifest(
        parser="test", seed=7, counts=counts, by_source={"mail.mbox": counts}, digest="d" * 64
    )
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


def thread_rows(threads: int) -> list[dict[str, Any]]:
    """Return two messages per thread, three topics in turn, six threads in ten for training."""
    rows = []
    for thread in range(threads):
        label, (subject, text, reply) = list(TOPICS.items())[thread % 3]
        split = ("train", "train", "train", "valid", "test")[thread // 3 % 5]
        words = f"{text}, number {thread} of {thread * 7}"
        for ordinal, body in enumerate((words, f"{reply}, number {thread}")):
            rows.append(
                message_row(
                    2 * thread + ordinal,
                    thread_id=f"t{thread:04}",
                    subject=f"{'Re: ' * ordinal}{subject} {thread}",
                    text=f"{body}. Ask [PERSON_0123abcd] for more.",
                    label=label,
                    split=split,
                )
            )
    return rows


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
