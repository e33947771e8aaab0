"""What is remembered of an archive is what is true of it now."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.incremental import forget_intake, recall
from data.intake import TAKEN_IN
from data.sources import Item, discover
from data.workspace import UserError

KEY = b"k" * 32


@pytest.fixture
def archive(tmp_path: Path, workspace: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("a.eml", "b.eml"):
        (folder / name).write_text(f"Subject: {name}\n\nSoup at noon.")
    return folder


def remember(
    archive: Path, tmp_path: Path, *, items: list[Item] | None = None, reason: str | None = None
) -> None:
    items = items or discover(archive)
    taken = tmp_path / "taken"
    taken.mkdir()
    rows = [{"outcome": "message", "source": item.source, "reason": reason} for item in items]
    pq.write_table(pa.Table.from_pylist(rows, schema=TAKEN_IN), taken / "part.parquet")
    with recall(archive, items, KEY) as memory:
        memory.remember(taken, items)


def unchanged(archive: Path, key: bytes = KEY, *, forget: bool = False) -> set[str]:
    with recall(archive, discover(archive), key, forget=forget) as memory:
        return set(memory.unchanged)


def test_what_did_not_change_is_known(archive: Path, tmp_path: Path) -> None:
    assert unchanged(archive) == set()

    remember(archive, tmp_path)
    (archive / "b.eml").write_text("Subject: b\n\nAnother text.")
    (archive / "c.eml").write_text("Subject: c\n\nA new one.")

    assert unchanged(archive) == {"a.eml"}
    assert unchanged(archive, b"another key") == set()
    assert unchanged(archive, forget=True) == set()


def test_an_allowed_file_is_read_again(archive: Path, tmp_path: Path) -> None:
    remember(archive, tmp_path)
    (archive / "a.eml").chmod(0o600)

    assert unchanged(archive) == {"b.eml"}


def test_what_could_not_be_read_is_tried_again(archive: Path, tmp_path: Path) -> None:
    remember(archive, tmp_path, reason="unreadable_file")

    assert unchanged(archive) == set()


def test_what_changed_while_it_was_read_is_read_again(archive: Path, tmp_path: Path) -> None:
    seen = discover(archive)
    with (archive / "a.eml").open("a") as file:
        file.write("One line more.")

    remember(archive, tmp_path, items=seen)

    assert unchanged(archive) == {"b.eml"}


def test_rows_that_are_gone_are_not_relied_on(archive: Path, tmp_path: Path, workspace: Path) -> None:
    remember(archive, tmp_path)
    for file in workspace.rglob("taken_in/*.parquet"):
        file.unlink()

    assert unchanged(archive) == set()


def test_forgetting_waits_for_nobody_and_leaves_the_locks(archive: Path, tmp_path: Path) -> None:
    remember(archive, tmp_path)
    with recall(archive, discover(archive), KEY), pytest.raises(UserError, match="being prepared now"):
        forget_intake()
    assert unchanged(archive) == {"a.eml", "b.eml"}

    forget_intake()

    assert unchanged(archive) == set()
    with recall(archive, discover(archive), KEY), pytest.raises(UserError, match="being prepared now"):
        forget_intake()


def test_a_table_is_read_again_under_other_names_of_its_columns(archive: Path, tmp_path: Path) -> None:
    (archive / "rows.jsonl").write_text('{"text": "a row"}')
    remember(archive, tmp_path)
    (archive / "columns.yaml").write_text("subject: topic")

    assert unchanged(archive) == {"a.eml", "b.eml"}
