"""A message is looked up where it stands: other row groups are not read, and what changed is not guessed."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_dataset import write_dataset

from data.dataset import read_manifest, read_messages
from data.schema import TABLES
from serving.archive import Archive, ChangedDatasetError, open_archive
from serving.scope import Scope

GROUP = 10


@pytest.fixture
def dataset(tmp_path: Path, workspace: Path) -> Path:
    """Ninety messages in two files of row groups of ten, with one copy that another custodian holds."""
    folder = write_dataset(tmp_path / "prepared")
    table = pq.read_table(folder / "messages" / "part-0.parquet")
    pq.write_table(table.slice(0, 60), folder / "messages" / "part-0.parquet", row_group_size=GROUP)
    pq.write_table(table.slice(60), folder / "messages" / "part-1.parquet", row_group_size=GROUP)
    copy = {
        "message_id": "copy",
        "duplicate_of": table["message_id"][0].as_py(),
        "kind": "exact",
        "similarity": 1.0,
        "source": "mailbox-b/1.eml",
        "locator": 0,
    }
    copies = pa.Table.from_pylist([copy], schema=TABLES["duplicates"])
    pq.write_table(copies, folder / "duplicates" / "part-0.parquet")
    return folder


@pytest.fixture
def archive(dataset: Path) -> Iterator[Archive]:
    opened = opened_at(dataset)
    yield opened
    opened.close()


def opened_at(dataset: Path) -> Archive:
    opened = open_archive(str(dataset), read_manifest(dataset).digest)
    assert opened is not None
    return opened


def rows_of(dataset: Path) -> list[dict[str, Any]]:
    return read_messages(dataset).to_pylist()


def test_every_message_is_found_as_it_stands(dataset: Path, archive: Archive):
    for row in rows_of(dataset):
        found = archive.message(row["message_id"], Scope())

        assert found is not None
        assert row["text"] == found["text"]
        assert row["sent_at"].isoformat() == found["sent_at"]


def test_a_message_outside_looks_like_none_at_all(dataset: Path, archive: Archive):
    known = rows_of(dataset)[0]["message_id"]

    assert archive.message(known, Scope(channels=("email",))) is not None
    assert archive.message(known, Scope(channels=("chat",))) is None
    assert archive.message("none", Scope()) is None


def test_a_copy_counts_for_who_holds_it(dataset: Path, archive: Archive):
    copied, other = (row["message_id"] for row in rows_of(dataset)[:2])
    scope = Scope(custodians=("mailbox-b",))

    assert archive.message(copied, scope) is not None
    assert archive.message(other, scope) is None
    assert [copied] == [each for batch in archive.batches(["message_id"], scope) for each in ids(batch)]


def test_a_thread_shows_what_lies_in_the_scope(dataset: Path, archive: Archive):
    sizes = Counter(row["thread_id"] for row in rows_of(dataset))

    for thread, size in sizes.items():
        page = archive.thread(thread, Scope())
        assert page is not None
        assert (size, size, None) == (page.total, len(page.messages), page.older)
        times = [row["sent_at"] for row in page.messages]
        assert times == sorted(times)
        assert archive.thread(thread, Scope(languages=("fr",))) is None


def test_only_the_row_group_of_a_message_is_read(dataset: Path):
    first = rows_of(dataset)[0]["message_id"]
    break_texts(dataset / "messages" / "part-0.parquet", 3)
    archive = opened_at(dataset)

    assert archive.message(first, Scope()) is not None
    with pytest.raises((OSError, pa.ArrowException)):
        archive.message(rows_of_group(dataset, 3)[0], Scope())


def test_of_a_message_that_may_not_be_seen_no_word_is_read(dataset: Path):
    break_texts(dataset / "messages" / "part-0.parquet", 3)
    archive = opened_at(dataset)

    assert archive.message(rows_of_group(dataset, 3)[0], Scope(channels=("chat",))) is None


def test_a_long_thread_is_cut_before_it_is_read(tmp_path: Path, workspace: Path):
    dataset = write_dataset(tmp_path / "long", copies=556)
    file = dataset / "messages" / "part-0.parquet"
    table = pq.read_table(file)
    one = pa.array(["one"] * table.num_rows)
    table = table.set_column(table.schema.get_field_index("thread_id"), "thread_id", one)
    pq.write_table(table.sort_by("sent_at"), file, row_group_size=1_000)
    for group in range(5):  # of six: all but the last four messages
        break_texts(file, group)
    archive = opened_at(dataset)

    page = archive.thread("one", Scope(), most=4)

    assert page is not None
    assert (5_004, 4) == (page.total, len(page.messages))
    assert page.older == page.messages[0]["message_id"]
    with pytest.raises((OSError, pa.ArrowException)):
        archive.thread("one", Scope(), most=4, before=page.older)


def test_a_whole_thread_is_read_once_or_spread_evenly(dataset: Path, archive: Archive):
    file = dataset / "messages" / "part-0.parquet"
    table = pq.read_table(file)
    one = pa.array(["one"] * table.num_rows)
    place = table.schema.get_field_index("thread_id")
    pq.write_table(table.set_column(place, "thread_id", one), file, row_group_size=GROUP)
    archive = opened_at(dataset)
    rows = sorted(table.to_pylist(), key=lambda row: row["sent_at"])

    whole = archive.whole_thread("one", Scope())
    some = archive.whole_thread("one", Scope(), most=5)

    assert whole is not None
    assert some is not None
    ids = [row["message_id"] for row in rows]
    assert tuple(ids) == whole.ids == some.ids
    assert Counter(ids) == Counter(row["message_id"] for part in whole.parts for row in part)
    spread = {row["message_id"] for part in some.parts for row in part}
    assert {ids[0], ids[14], ids[29], ids[44], ids[59]} == spread
    assert archive.whole_thread("one", Scope(channels=("chat",))) is None


def test_the_pages_of_a_thread_are_the_thread(dataset: Path, archive: Archive):
    thread = rows_of(dataset)[0]["thread_id"]
    whole = archive.thread(thread, Scope())
    assert whole is not None
    pages, before = [], ""
    while (page := archive.thread(thread, Scope(), most=2, before=before)) is not None:
        pages.append(page.messages)
        assert whole.total == page.total
        if page.older is None:
            break
        before = page.older

    assert whole.messages == tuple(row for each in reversed(pages) for row in each)
    assert archive.thread(thread, Scope(), before="of another thread") is None


def test_lookups_of_many_threads_run_side_by_side(archive: Archive):
    together, met = Barrier(4), []
    for reader in archive.places.readers:
        reader.set_trace_callback(lambda _asked: met.append(together.wait(10)))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(archive.places.of_thread, ["thread-0"] * 4))

    assert 4 == len(met)  # each was inside its lookup while the others were
    assert [3] * 4 == [each.num_rows for each in found]


def test_lookups_side_by_side_never_mix_their_rows(dataset: Path, archive: Archive):
    rows = rows_of(dataset)
    scope = Scope(custodians=("made.mbox", "mailbox-b"))

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda row: archive.message(row["message_id"], scope), rows))

    assert [row["text"] for row in rows] == [row["text"] for row in found if row]


def test_the_lookup_has_no_name_on_the_disk(dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "temporary"))
    archive = opened_at(dataset)

    assert [] == list((tmp_path / "temporary").iterdir())
    archive.close()
    with pytest.raises(sqlite3.ProgrammingError):
        archive.places.of_thread("thread-0")


def test_a_dataset_that_was_written_anew_is_not_read_by_old_places(dataset: Path, archive: Archive):
    rows = rows_of(dataset)
    file = dataset / "messages" / "part-0.parquet"
    shutil.copy(file, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)

    with pytest.raises(ChangedDatasetError):
        archive.message(rows[0]["message_id"], Scope())
    file.unlink()
    with pytest.raises(ChangedDatasetError):
        list(archive.batches(["message_id"]))


def test_another_dataset_in_its_place_is_not_shown(dataset: Path):
    assert open_archive(str(dataset), "0" * 64) is None
    assert open_archive(str(dataset / "nothing"), read_manifest(dataset).digest) is None


def ids(batch: pa.RecordBatch) -> list[str]:
    return batch.column("message_id").to_pylist()


def break_texts(file: Path, group: int) -> None:
    """Overwrite the subjects of a row group with zeros: whoever reads them fails."""
    subject = pq.read_metadata(file).row_group(group).column(TABLES["messages"].names.index("subject"))
    with open(file, "r+b") as handle:
        handle.seek(subject.dictionary_page_offset or subject.data_page_offset)
        handle.write(bytes(subject.total_compressed_size))


def rows_of_group(dataset: Path, group: int) -> list[str]:
    with pq.ParquetFile(dataset / "messages" / "part-0.parquet") as opened:
        return opened.read_row_group(group, columns=["message_id"])["message_id"].to_pylist()
