"""JSON lines and Parquet."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.read_table import read_jsonl, read_parquet
from data.record import Party, Record, Rejected

ROW = {"subject": "s", "text": "body", "sender": "Ada <Ada@x.org>", "recipients": ["b@x.org"], "thread": "t"}


def test_reads_lines_and_says_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps(ROW | {"sent_at": "2024-01-02T03:04:05Z"}) + '\n\n{"text": \n[1]\n{"other": 1}\n'
    )

    first, *rest = read_jsonl(io.BytesIO(path.read_bytes()))

    assert isinstance(first, Record)
    assert Party("Ada", "ada@x.org") == first.sender
    assert datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC) == first.sent_at
    assert [each.reason for each in rest if isinstance(each, Rejected)] == [
        *("invalid_json", "not_a_message", "not_a_message")
    ]
    assert [each.locator for each in rest] == [1, 2, 3]


def test_reads_the_same_rows_from_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text(json.dumps(ROW))

    table = (tmp_path / "a.parquet").read_bytes()

    (one,), (other,) = (
        read_parquet(io.BytesIO(table), size=len(table)),
        read_jsonl(io.BytesIO((tmp_path / "a.jsonl").read_bytes())),
    )

    assert isinstance(one, Record)
    assert isinstance(other, Record)
    assert (one.body, one.sender, one.recipients, one.parents) == (
        *(other.body, other.sender, other.recipients, other.parents),
    )


def test_rejects_a_table_without_text_or_without_end(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing more")

    reasons = [
        entry.reason
        for content in ((tmp_path / f"{name}.parquet").read_bytes() for name in ("a", "b"))
        for entry in read_parquet(io.BytesIO(content), size=len(content))
        if isinstance(entry, Rejected)
    ]

    assert reasons == ["missing_columns", "unreadable_file"]
