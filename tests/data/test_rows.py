"""Rows of a dataset are found without their texts, and a changed one is noticed."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.rows import find_rows, rows_digest
from tests.training.made_messages import messages_table, thread_rows, write_prepared


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_prepared(tmp_path / "prepared", thread_rows(6))


def test_a_row_is_found_without_its_text(dataset: Path) -> None:
    (row,) = find_rows(dataset, "messages", "message_id", f"{3:024x}")

    assert "t0001" == row["thread_id"]
    assert not {"text", "subject", "full_text"} & row.keys()
    assert [] == find_rows(dataset, "messages", "message_id", "f" * 24)


def test_the_digest_does_not_depend_on_how_the_rows_are_cut_or_on_the_key(
    dataset: Path, tmp_path: Path
) -> None:
    rows = [row | {"text": row["text"].replace("0123abcd", "89abcdef")} for row in thread_rows(6)]
    other = write_prepared(tmp_path / "other", rows[:5])
    pq.write_table(messages_table(rows[5:]), other / "messages" / "part-1.parquet")

    assert rows_digest(dataset) == rows_digest(other)


@pytest.mark.parametrize("change", [{"label": "spam"}, {"text": "another"}, {"split": "test"}])
def test_a_changed_row_changes_the_digest(dataset: Path, tmp_path: Path, change: dict[str, str]) -> None:
    first, *rest = thread_rows(6)

    assert rows_digest(dataset) != rows_digest(write_prepared(tmp_path / "other", [first | change, *rest]))
