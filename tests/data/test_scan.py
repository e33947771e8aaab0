"""A scan finds what is hidden: in tables, databases, packed files, quotes and escapes."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.scan import Sought, scan, sought
from data.shingles import Traces

MARK = "[EMAIL_1f3a9c2b]"
WORDS = 'The "copper" position must be unwound quietly, before the committee meets in May.'
QUOTED = "> the copper position must be unwound\n> quietly, BEFORE the committee meets\n> in May."
OTHER = "The parking garage is closed for repairs until the end of the month, use the other."


@pytest.fixture
def wanted() -> Sought:
    return sought([MARK], ["anna@harbour.example"], Traces.of([WORDS]))


def test_masks_what_is_repeated_and_nothing_else() -> None:
    text = f"She said:\n{QUOTED}\nand that was all."

    masked = Traces.of([WORDS]).masked(text)

    assert len(text) == len(masked)
    assert masked.startswith("She said:\n> ···")
    assert masked.endswith("·.\nand that was all.")
    assert "unwound" not in masked
    assert OTHER == Traces.of([WORDS]).masked(OTHER)


def test_what_others_say_too_leaves_no_trace() -> None:
    traces = Traces.of([WORDS, OTHER]).without([WORDS])

    assert not traces.found_in(WORDS)
    assert traces.found_in(OTHER)


def test_finds_it_wherever_it_lies(tmp_path: Path, wanted: Sought) -> None:
    table = pa.table({"message_id": ["a", "b"], "lists": [[MARK], ["nothing"]], "text": [QUOTED, OTHER]})
    pq.write_table(table, tmp_path / "table.parquet", compression="zstd")
    with closing(sqlite3.connect(tmp_path / "base.db")) as base:
        base.execute("CREATE TABLE notes (said TEXT)")
        base.execute("INSERT INTO notes VALUES (?)", (OTHER * 200 + QUOTED + OTHER * 200,))
        base.commit()
    (tmp_path / "page.html").write_text(f"<p>{WORDS.replace(chr(34), '&quot;')}</p>")
    (tmp_path / "notebook.ipynb").write_text(json.dumps({"cells": [QUOTED]}))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(MARK.encode()))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("inner.gz", gzip.compress(WORDS.encode()))
    (tmp_path / "binary").write_bytes(b"\0\1\2" * 9 + MARK.encode() + b"\0" * 9)
    (tmp_path / "innocent.txt").write_text(OTHER)

    found = scan(tmp_path, wanted)

    everywhere = {
        "table.parquet",
        "base.db",
        "page.html",
        "notebook.ipynb",
        "packed.gz",
        "packed.zip",
        "binary",
    }
    assert everywhere == found.hits.keys()
    assert 8 == found.files
    assert not found.is_clean


def test_rows_that_are_held_are_passed_over(tmp_path: Path, wanted: Sought) -> None:
    pq.write_table(pa.table({"message_id": ["a"], "text": [MARK]}), tmp_path / "table.parquet")

    found = scan(tmp_path, Sought(wanted.words, wanted.traces, frozenset({"a"})))

    assert (True, 1) == (found.is_clean, found.held_rows)


@pytest.mark.parametrize(
    "text",
    [
        "joanna@harbour.example",
        "jo.anna@harbour.example",
        "anna@harbour.example.org",
        "anna@harbour.examples",
        "anna@harbour.example-lines",
    ],
)
def test_an_address_that_holds_the_one_sought_is_somebody_elses(wanted: Sought, text: str) -> None:
    assert 0 == wanted.hits(f"write to {text}.")
    assert 0 == wanted.hits(json.dumps(f"write to\n{text}"))


@pytest.mark.parametrize(
    "text",
    [
        "<anna@harbour.example>",
        "write to anna@harbour.example.",
        "...Anna@Harbour.example, or call",
        json.dumps("to\nanna@harbour.example\n"),
        "mailto%3Aanna@harbour.example",
        "To:=20anna@harbour.example=0A",
        "anna&#64;harbour.example",
    ],
)
def test_an_address_is_found_however_it_is_written(wanted: Sought, text: str) -> None:
    assert 1 == wanted.hits(text)


def test_a_folder_named_after_the_person_is_a_hit_and_not_named(tmp_path: Path, wanted: Sought) -> None:
    (tmp_path / "anna@harbour.example").mkdir()
    (tmp_path / "anna@harbour.example" / "list.txt").write_text("empty")

    assert {"…/list.txt": 1} == scan(tmp_path, wanted).hits


def test_what_cannot_be_read_is_no_proof(tmp_path: Path, wanted: Sought) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")

    found = scan(tmp_path, wanted)

    assert ["broken.parquet"] == found.unread
    assert not found.is_clean


def damaged_gzip() -> bytes:
    packed = bytearray(gzip.compress(OTHER.encode() * 50))
    packed[12:30] = bytes(18)
    return bytes(packed)


def zip_with(place: int, value: int) -> bytes:
    """Return a zip whose one member says something else at this place of both of its headers."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("inner.txt", OTHER)
    written = bytearray(content.getvalue())
    for header, shift in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
        written[written.index(header) + place + shift] = value
    return bytes(written)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("damaged.gz", damaged_gzip()),
        ("encrypted.zip", zip_with(6, 1)),
        ("unknown_method.zip", zip_with(8, 97)),
    ],
)
def test_what_cannot_be_unpacked_counts_as_unread(
    tmp_path: Path, wanted: Sought, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)

    found = scan(tmp_path, wanted)

    assert [name] == found.unread
    assert not found.is_clean
