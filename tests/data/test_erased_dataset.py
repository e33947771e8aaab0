"""A dataset without an erased person still balances, whatever its messages came packed in."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.dataset import read_duplicates, read_manifest, read_messages, read_rejects
from data.erase import ErasedDataset, erase_dataset, held_through_copies
from data.erasing import eraser_of, foreseen
from data.retention import KeyedHold, Orders
from data.schema import PARSER, TABLES, Counts, Manifest, top_of

MARK, OTHER = "[EMAIL_1f3a9c2b]", "[EMAIL_0a1b2c3d]"
WORDS = "The copper position must be unwound quietly before the committee meets in May."
PARKING = "The parking garage is closed for repairs until the end of the month, use the other."


def message(message_id: str, sender: str, source: str, text: str = WORDS) -> dict[str, object]:
    return {
        **dict.fromkeys(TABLES["messages"].names),
        **{"message_id": message_id, "thread_id": message_id, "channel": "email", "sender": sender},
        **{"sent_at": datetime(2026, 3, 1, tzinfo=UTC), "recipients": [], "subject": "note", "text": text},
        **{"full_text": text, "zones": [{"kind": "body", "start": 0, "end": len(text)}], "language": "en"},
        **{"attachments": [], "split": "train", "source": source, "locator": 0, "parser": PARSER},
    }


def copy(message_id: str, of: str, source: str) -> dict[str, object]:
    return {
        **{"message_id": message_id, "duplicate_of": of, "kind": "exact", "similarity": 1.0},
        **{"source": source, "locator": 0},
    }


def write_dataset(
    folder: Path, messages: list[dict[str, object]], duplicates: Iterable[dict[str, object]] = ()
) -> Path:
    tables = {"messages": messages, "chunks": [], "duplicates": [*duplicates], "rejects": [], "questions": []}
    for name, rows in tables.items():
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name]), folder / name / "part-0.parquet")
    by_source: dict[str, Counts] = {}
    for name in ("messages", "duplicates"):
        for row in tables[name]:
            counts = by_source.get(top := top_of(str(row["source"])), Counts())
            kept, copies = counts.kept + (name == "messages"), counts.duplicates + (name == "duplicates")
            by_source[top] = replace(counts, read=kept + copies, kept=kept, duplicates=copies)
    kept, copies = len(messages), len(tables["duplicates"])
    counts = Counts(read=kept + copies, kept=kept, duplicates=copies)
    manifest = Manifest(parser=PARSER, seed=7, counts=counts, by_source=by_source, digest="d" * 64)
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def erased(folder: Path, *holds: KeyedHold) -> ErasedDataset:
    """Erase from a dataset that lies beside the files of other messages."""
    files = sorted(folder.parent.glob("*/*.parquet")) + sorted((folder / "messages").glob("*.parquet"))
    orders = Orders(holds=holds, suppressed=frozenset({MARK}))
    eraser = eraser_of(orders, files, held=held_through_copies([folder], files, orders))
    return erase_dataset(folder, eraser, foreseen(files, eraser).message_ids)


def test_what_is_left_is_written_in_groups_of_which_one_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("data.erase.ROWS_PER_GROUP", 1)
    others = [message(name, OTHER, f"mails/{name}.eml") for name in ("b", "c")]
    folder = write_dataset(tmp_path / "prepared", [message("a", MARK, "mails/a.eml"), *others])

    erased(folder)

    assert 2 == pq.read_metadata(folder / "messages" / "part-0.parquet").num_row_groups


def with_a_held_copy(tmp_path: Path) -> Path:
    return write_dataset(
        tmp_path / "prepared",
        [message("a", MARK, "mails/a.eml"), message("c", MARK, "mails/c.eml", PARKING)],
        [copy("b", "a", "legal/b.eml")],
    )


def test_a_message_out_of_a_zip_becomes_a_reject_of_the_zip(tmp_path: Path) -> None:
    folder = write_dataset(
        tmp_path / "prepared",
        [message("a", MARK, "export.zip!a/1.eml"), message("b", OTHER, "export.zip!a/2.eml", PARKING)],
    )

    assert 1 == erased(folder).erased
    assert {"export.zip": Counts(2, 1, 0, 1)} == read_manifest(folder).by_source
    assert ["export.zip!a/1.eml"] == read_rejects(folder)["source"].to_pylist()
    assert ["b"] == read_messages(folder)["message_id"].to_pylist()


@pytest.mark.parametrize(
    "hold",
    [
        KeyedHold("matter 7", source="legal/"),
        KeyedHold("matter 7", source="legal/", since="2026-06-01"),
        KeyedHold("matter 7", source="legal/", pseudonyms=(MARK,)),
    ],
)
def test_a_message_stays_when_a_copy_of_it_is_held(tmp_path: Path, hold: KeyedHold) -> None:
    folder = with_a_held_copy(tmp_path)

    done = erased(folder, hold)

    assert ({"matter 7": 1}, 1) == (done.held, done.erased)
    assert [("a", WORDS)] == [(row["message_id"], row["text"]) for row in read_messages(folder).to_pylist()]
    assert ["b"] == read_duplicates(folder)["message_id"].to_pylist()


def test_a_hold_on_other_places_keeps_no_copy(tmp_path: Path) -> None:
    folder = with_a_held_copy(tmp_path)

    assert 3 == erased(folder, KeyedHold("matter 7", source="trade/")).erased


def test_what_a_copy_says_of_itself_decides_whether_it_is_held(tmp_path: Path) -> None:
    folder = with_a_held_copy(tmp_path)
    taken = tmp_path / "taken"
    taken.mkdir()
    rows = [message("b", OTHER, "legal/b.eml")]
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["messages"]), taken / "part-0.parquet")

    assert {"matter 7": 1} == erased(folder, KeyedHold("matter 7", pseudonyms=(OTHER,))).held


def test_a_copy_of_another_time_is_not_held_by_a_hold_on_dates(tmp_path: Path) -> None:
    folder = with_a_held_copy(tmp_path)
    taken = tmp_path / "taken"
    taken.mkdir()
    rows = [message("b", OTHER, "legal/b.eml")]
    pq.write_table(pa.Table.from_pylist(rows, schema=TABLES["messages"]), taken / "part-0.parquet")

    assert 3 == erased(folder, KeyedHold("matter 7", source="legal/", since="2026-06-01")).erased


def test_a_dataset_remembers_what_it_was_called_before_every_erasure(tmp_path: Path) -> None:
    folder = write_dataset(
        tmp_path / "prepared",
        [message("a", MARK, "a.eml"), message("b", OTHER, "b.eml", PARKING)],
    )
    first = read_manifest(folder).digest
    erased(folder)
    second = read_manifest(folder).digest
    eraser = eraser_of(Orders(suppressed=frozenset({OTHER})), [])
    erase_dataset(folder, eraser, {"b"})

    manifest = read_manifest(folder)

    assert (first, second) == manifest.former_digests
    assert manifest.digest not in manifest.former_digests


def write_many(folder: Path, count: int) -> Path:
    """Write a dataset of ``count`` long messages in groups of 50, every hundredth of them of the erased."""
    messages, chunks = [], []
    for number in range(count):
        text = f"Note {number:05} of the file. " + f"{number:05} " * 300
        sender = MARK if number % 100 == 7 else OTHER
        row = message(f"m{number:05}", sender, f"mails/{number:05}.eml", text)
        if number % 100 == 8:
            row["recipients"] = [MARK]
            row["text"] = row["full_text"] = f"{MARK} says {text}"
        messages.append(row)
        chunks.append(
            {
                **{name: row.get(name) for name in TABLES["chunks"].names},
                **{"chunk_id": f"{row['message_id']}:0", "ordinal": 0, "start": 0, "end": 60},
                "text": str(row["text"])[:60],
            }
        )
    write_dataset(folder, messages, [copy("x", "m00007", "legal/x.eml"), copy("y", "m00001", "legal/y.eml")])
    for name, rows in (("messages", messages), ("chunks", chunks)):
        table = pa.Table.from_pylist(rows, schema=TABLES[name])
        pq.write_table(table, folder / name / "part-0.parquet", row_group_size=50)
    return folder


def without_erased(folder: Path) -> ErasedDataset:
    return erase_dataset(folder, eraser_of(Orders(suppressed=frozenset({MARK})), []))


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.erase.ROWS_PER_GROUP", 50)
    monkeypatch.setattr("data.erasing.BATCH_ROWS", 50)


@pytest.mark.usefixtures("small_groups")
def test_many_groups_are_erased_as_one_is(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "prepared", 400)
    before = {row["message_id"]: row for row in read_messages(folder).to_pylist()}

    done = without_erased(folder)

    manifest, now = read_manifest(folder), read_messages(folder).to_pylist()
    assert (5, 4) == (done.erased, done.cleaned), "four messages and the copy of one"
    assert Counts(402, 396, 1, 5) == manifest.counts
    assert {"mails": Counts(400, 396, 0, 4), "legal": Counts(2, 0, 1, 1)} == manifest.by_source
    assert {"erased": 5} == manifest.reasons
    assert [each for each in before if int(each[1:]) % 100 != 7] == [row["message_id"] for row in now]
    assert 4 == sum(row != before[row["message_id"]] for row in now)
    rejects = read_rejects(folder)["source"].to_pylist()
    assert ["legal/x.eml", *(f"mails/{number:05}.eml" for number in (7, 107, 207, 307))] == rejects
    texts = {row["message_id"]: row["text"] for row in now}
    chunks = pq.read_table(folder / "chunks").to_pylist()
    assert len(now) == len(chunks) == manifest.chunks
    assert all(chunk["text"] == texts[chunk["message_id"]][:60] for chunk in chunks)
    assert 8 == pq.read_metadata(folder / "messages" / "part-0.parquet").num_row_groups


@pytest.mark.usefixtures("small_groups")
def test_an_erasure_holds_a_few_groups_in_memory_however_many_there_are(tmp_path: Path) -> None:
    peaks = []
    for count in (400, 1_600):
        folder = write_many(tmp_path / str(count), count)
        tracemalloc.start()
        without_erased(folder)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.usefixtures("small_groups")
def test_a_dataset_without_the_erased_stays_byte_for_byte(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "prepared", 100)
    without_erased(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    again = without_erased(folder)

    assert (0, 0, read_manifest(folder).digest) == (again.erased, again.cleaned, again.digest)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
