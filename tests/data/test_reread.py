"""The bytes that a message came from give the same message id again, with no key at all."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from data.intake import take
from data.normalise import Normal
from data.reread import reread
from data.sources import discover, name_of, source_of

MAIL = "From: a@x.example\nTo: b@x.example\nDate: Thu, 01 Aug 2024 10:00:00 +0000\nSubject: {0}\n\nAsk {0}.\n"
CALL = "WEBVTT\n\n00:00:01.000 --> 00:00:04.000\n<v Bert Okafor>Who takes the audit this year?\n"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Mails of each kind of packing, names that have to be escaped, a chat table and a call."""
    folder = tmp_path / "archive"
    folder.mkdir()
    mails = [MAIL.format(name) for name in ("anna.lindqvist@harbour.example", "Bert", "Carl")]
    (folder / "box.mbox").write_text("".join(f"From - Thu Aug  1 10:00:00 2024\n{each}\n" for each in mails))
    (folder / "odd!\\xff.eml").write_text(mails[0])
    with zipfile.ZipFile(folder / "export.zip", "w") as packed:
        packed.writestr("in/1.eml", mails[1])
    lines = ('{"body": "Call me", "text": "no"}', '{"body": "Not here", "text": "no"}')
    (folder / "chat.jsonl").write_text("\n".join(lines))
    (folder / "columns.yaml").write_text("text: body\n")
    (folder / "call.vtt").write_text(CALL)
    return folder


def messages(archive: Path) -> list[Normal]:
    taken = (each for item in discover(archive) for each in take(item, b"another key"))
    return [each for each in taken if isinstance(each, Normal)]


def test_every_message_is_read_again_under_its_own_id(archive: Path) -> None:
    found = messages(archive)
    again = [reread(archive, each.source, each.locator) for each in found]

    assert 8 == len(found)
    assert [(each.message_id, each.source_sha256, each.byte_start, each.byte_end) for each in found] == [
        (each.message_id, each.sha256, each.byte_start, each.byte_end) for each in again if each
    ]


def test_changed_bytes_give_another_id_and_a_missing_file_none(archive: Path) -> None:
    (message,) = [each for each in messages(archive) if each.source == "call.vtt"]
    (archive / "call.vtt").write_text(CALL.replace("audit", "blame"))

    changed = reread(archive, "call.vtt", message.locator)
    assert changed is not None
    assert message.message_id != changed.message_id
    assert message.source_sha256 != changed.sha256
    assert reread(archive, "box.mbox", 99).message_id == ""  # type: ignore[union-attr]
    assert reread(archive, "gone.eml", 0) is None


def test_a_damaged_archive_is_told_by_its_hash_and_holds_no_message(archive: Path) -> None:
    path = archive / "export.zip"
    path.write_bytes(path.read_bytes()[:40])

    found = reread(archive, "export.zip!in/1.eml", 0)

    assert found is not None
    assert found.message_id == ""
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", [b"plain.eml", b"odd!.eml", b"\xff\\x41!.eml", "grüß\\xff.eml".encode()])
def test_a_source_leads_back_to_its_file(name: bytes) -> None:
    assert name == name_of(source_of(name))
    assert name == name_of(f"{source_of(name)}!member.eml")
