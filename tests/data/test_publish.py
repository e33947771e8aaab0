"""What is published is what a stream needs to give the same messages as the archive."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from data.events import prefixes, take_event, to_json
from data.intake import Taken, take
from data.kafka import Topic
from data.normalise import Normal
from data.publish import events_of, publish
from data.sources import discover
from data.workspace import UserError

KEY = b"k" * 32
MAIL = b"From: a@example.com\nSubject: Soup\n\nSoup at noon.\n"
ROW = b'{"body": "Soup at noon."}\n'


def read(archive: Path) -> dict[str, str]:
    """Return the text of every message of an archive, by its id."""
    return texts(each for item in discover(archive) for each in take(item, KEY))


def streamed(archive: Path) -> dict[str, str]:
    """Return the text of every message that comes out of the events of an archive, by its id."""
    allowed = prefixes([str(archive)])
    return texts(
        each
        for event in events_of(archive)
        for each in take_event(to_json(event), place="mail/0/7", allowed=allowed, secret=KEY)
    )


def texts(taken: Iterable[Taken]) -> dict[str, str]:
    return {each.message_id: each.text for each in taken if isinstance(each, Normal)}


def zipped(path: Path, name: str, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)


def test_an_event_is_called_what_its_file_is_whatever_its_folder_is_called(tmp_path: Path) -> None:
    for name in ("a", "b"):
        zipped(tmp_path / "Inbox!" / f"{name}.zip", f"{name}.eml", MAIL)

    sources = [event.source for event in events_of(tmp_path)]

    assert ["Inbox\\x21/a.zip", "Inbox\\x21/b.zip"] == sources
    assert len(read(tmp_path)) == 2
    assert read(tmp_path) == streamed(tmp_path)


def test_tables_are_read_by_the_columns_that_the_archive_names(tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_text("text: body\n")
    (tmp_path / "a.jsonl").write_bytes(ROW)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(ROW))
    zipped(tmp_path / "c.zip", "c.jsonl", ROW)
    (tmp_path / "d.eml").write_bytes(MAIL)

    inlined = [event.source for event in events_of(tmp_path) if event.content is not None]

    assert ["d.eml"] == inlined
    assert ["Soup at noon."] * 4 == list(read(tmp_path).values())
    assert read(tmp_path) == streamed(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("queue", [1, 1000])
def test_events_that_no_broker_takes_are_counted_and_said(tmp_path: Path, queue: int) -> None:
    for number in range(3):
        (tmp_path / f"{number}.eml").write_bytes(MAIL)
    settings = {"message.timeout.ms": "300", "queue.buffering.max.messages": str(queue)}

    with pytest.raises(UserError, match="3 of 3 events did not reach topic 'mail'"):
        publish(tmp_path, Topic("mail", "127.0.0.1:1", settings))


def test_a_zip_that_begins_with_what_cannot_be_read_is_called_what_it_is(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", "b.gz", b"\x1f\x8b\x08")

    assert ["a.zip"] == [event.source for event in events_of(tmp_path)]
