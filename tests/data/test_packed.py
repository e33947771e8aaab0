"""Compressed mailboxes and zipped exports are read as if they lay there unpacked, and never trusted."""

import bz2
import gzip
import io
import json
import lzma
import os
import random
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.intake import Refused, Tally, take
from data.mbox import stream
from data.normalise import Normal
from data.sources import discover

ENVELOPE = b"From a@example.org Fri Apr 20 19:35:02 2001\n"
KEY = b"k" * 32
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


def mail(number: int, body: str = "Soup at noon.") -> bytes:
    return f"From: Ann <ann@example.org>\nSubject: number {number}\n\n{body}\n\n".encode()


def mbox(messages: int) -> bytes:
    return b"".join(ENVELOPE + mail(number) for number in range(messages))


def taken(archive: Path) -> tuple[list[Normal], list[str], int]:
    results = [each for item in discover(archive) for each in take(item, KEY)]
    return (
        [each for each in results if isinstance(each, Normal)],
        [each.entry.reason for each in results if isinstance(each, Refused)],
        sum(each.entries for each in results if isinstance(each, Tally)),
    )


def test_a_member_without_a_name_is_read_or_a_reject(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("x.eml", mail(1))
    named = (tmp_path / "a.zip").read_bytes()
    directory = named.rindex(b"PK\x01\x02")
    nameless = bytearray(named)
    nameless[directory + 28] = 0  # the length of the name in the directory; the name counts as a comment then
    nameless[directory + 32] = 5
    (tmp_path / "a.zip").write_bytes(nameless)

    messages, rejects, entries = taken(tmp_path)

    assert len(messages) + len(rejects) == entries == 1


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_a_compressed_mbox_is_read_like_a_plain_one(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"box.mbox.{suffix}").write_bytes(COMPRESSORS[suffix](mbox(5)))

    messages, rejects, entries = taken(tmp_path)

    assert [message.subject for message in messages] == [f"number {number}" for number in range(5)]
    assert {message.source for message in messages} == {f"box.mbox.{suffix}"}
    assert (rejects, entries) == ([], 5)


def test_places_in_a_compressed_mbox_are_those_of_the_unpacked_bytes(tmp_path: Path) -> None:
    content = mbox(3)
    (tmp_path / "box.gz").write_bytes(gzip.compress(content))

    messages, _, _ = taken(tmp_path)

    cut = [content[message.byte_start : message.byte_end] for message in messages]
    assert cut == [ENVELOPE + mail(number) for number in range(3)]


def test_every_member_of_a_zip_is_a_source_of_its_own(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("in/box", mbox(2))
        archive.writestr("../../one.eml", mail(7))
        archive.writestr("rows.jsonl", b'{"text": "a row"}\n')
        archive.writestr("picture.png", b"\x89PNG")
        archive.writestr("inner.gz", gzip.compress(mbox(1)))
        archive.writestr("__MACOSX/x", b"junk")

    messages, rejects, entries = taken(tmp_path)

    sources = sorted(message.source for message in messages)
    assert sources == ["export.zip!../../one.eml", *["export.zip!in/box"] * 2, "export.zip!rows.jsonl"]
    assert rejects == ["unrecognised_format"] * 2
    assert entries == 6


def test_members_of_one_name_are_all_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("one.eml", mail(0))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("one.eml", mail(1))

    messages, _, entries = taken(tmp_path)

    assert {message.source: message.subject for message in messages} == {
        "twice.zip!one.eml": "number 0",
        "twice.zip!one.eml~2": "number 1",
    }
    assert entries == 2


@pytest.mark.slow
@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_damage_deep_inside_is_no_bug_of_ours(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(1)
    packed = bytearray(COMPRESSORS[suffix](ENVELOPE + mail(0, chance.randbytes(1_500_000).hex())))
    packed[len(packed) * 3 // 4 :] = bytes(len(packed) // 4)
    (tmp_path / f"box.mbox.{suffix}").write_bytes(packed)

    _, rejects, _ = taken(tmp_path)

    assert rejects == ["unreadable_file"]
    assert "report this" not in capsys.readouterr().err


def test_a_zipped_maildir_keeps_its_hidden_folders_and_leaves_out_what_is_being_delivered(
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(tmp_path / "home.zip", "w") as archive:
        for number, name in enumerate((".Sent/cur/1", ".Sent/new/2", ".Sent/tmp/3")):
            archive.writestr(name, mail(number))

    assert [message.subject for message in taken(tmp_path)[0]] == ["number 0", "number 1"]


def test_a_name_that_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.mbox.gz")).write_bytes(gzip.compress(mbox(1)))

    (message,), _, _ = taken(tmp_path)

    assert message.source == "caf\\xe9.mbox.gz"


def test_a_packed_day_of_a_slack_export_knows_its_people(tmp_path: Path) -> None:
    said = json.dumps([{"user": "U1", "text": "Ask Ada.", "ts": "1700000000.01"}])
    (tmp_path / "acme" / "desk").mkdir(parents=True)
    (tmp_path / "acme" / "channels.json").write_text("[]")
    (tmp_path / "acme" / "users.json").write_text(json.dumps([{"id": "U1", "real_name": "Ada Ray"}]))
    (tmp_path / "acme" / "desk" / "2024-01-02.json.gz").write_bytes(gzip.compress(said.encode()))

    (message,), _, _ = taken(tmp_path)

    assert (message.channel, "Ada" in message.text) == ("chat", False)


def test_a_zipped_slack_export_keeps_its_names(tmp_path: Path) -> None:
    said = {"user": "U1", "text": "Ask <@U1>, or Ada.", "ts": "1700000000.01"}
    with zipfile.ZipFile(tmp_path / "slack.zip", "w") as archive:
        archive.writestr("acme/channels.json", "[]")
        archive.writestr("acme/users.json", json.dumps([{"id": "U1", "real_name": "Ada Ray"}]))
        archive.writestr("acme/desk/2024-01-02.json", json.dumps([said]))

    (message,), rejects, _ = taken(tmp_path)

    assert message.channel == "chat"
    assert "Ada" not in message.text
    assert message.text.count("[PERSON_") == 2
    assert rejects == []


@pytest.mark.slow
@pytest.mark.parametrize(("size", "level"), [(4000, 0), (10, 9)])
@pytest.mark.parametrize("damage", ["truncated", "altered", "not_packed"])
def test_what_comes_before_the_damage_is_kept_and_the_rest_is_one_reject(
    tmp_path: Path, damage: str, size: int, level: int
) -> None:
    whole = b"".join(ENVELOPE + mail(n, "words " * size) for n in range(400))
    packed = gzip.compress(whole, compresslevel=level)
    broken = {
        "truncated": packed[: len(packed) // 2],
        "altered": packed[:-8] + bytes(8),
        "not_packed": b"\x1f\x8b\x08 no gzip at all",
    }[damage]
    (tmp_path / "box.gz").write_bytes(broken)

    messages, rejects, entries = taken(tmp_path)

    assert rejects == ["unreadable_file"]
    assert len(messages) + 1 == entries
    expected = {"truncated": range(100, 390), "altered": range(399, 400), "not_packed": range(1)}
    assert len(messages) in expected[damage]


@pytest.mark.slow
def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(ENVELOPE + mail(1) + bytes(300 << 20)))

    _, rejects, entries = taken(tmp_path)

    assert rejects == ["unreadable_file"]
    assert entries == 1


def test_an_encrypted_member_is_a_reject(tmp_path: Path) -> None:
    path = tmp_path / "locked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.eml", mail(1))
    content = bytearray(path.read_bytes())
    for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flag] |= 1
    path.write_bytes(bytes(content))

    assert taken(tmp_path)[1] == ["unreadable_file"]


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_a_stream_gives_the_same_messages_whatever_its_blocks(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.mbox.STREAM_BYTES", step)
    content = ENVELOPE + mail(0, "x\n>From here\nFrom here\n") + ENVELOPE + mail(1, "y" * 9000) + mbox(2)

    found = list(stream(io.BytesIO(content), largest=5000))

    assert [each.raw is None for each in found] == [False, True, False, False]
    assert b"".join(content[each.start : each.end] for each in found) == content
    assert found[0].raw is not None
    assert b"\nFrom here\nFrom here" in found[0].raw


def tar(path: Path, files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_file_in_a_tar_is_a_source_of_its_own(tmp_path: Path, form: int) -> None:
    long_name = f"{'folder/' * 15}{'n' * 90}.eml"
    files = {"./in/box": mbox(2), long_name: mail(7), "rows.jsonl": b'{"text": "a row"}\n', "._box": b"\0"}
    tar(tmp_path / "export.tar", files | {"inner.gz": gzip.compress(mbox(1)), "empty": b""}, form)

    messages, rejects, entries = taken(tmp_path)

    sources = sorted(message.source for message in messages)
    assert sources == [f"export.tar!{name}" for name in (long_name, "in/box", "in/box", "rows.jsonl")]
    assert rejects == ["unrecognised_format"] * 2
    assert entries == 6


def test_a_member_of_an_absurd_name_is_a_reject_and_takes_no_memory_for_its_folders(tmp_path: Path) -> None:
    names = ["a/" * 5000 + "x.eml", "a/" * 5000 + "y.eml", "n" * 5000 + ".eml", "f/" * 90 + "ok.eml"]
    tar(tmp_path / "a.tar", dict.fromkeys(names, mail(0)))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in names:
            archive.writestr(name, mail(0))
    tracemalloc.start()

    items = discover(tmp_path)

    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    messages, rejects, entries = taken(tmp_path)
    assert most < 20_000_000
    assert max(len(item.source) for item in items) < 300
    assert len({item.source for item in items}) == 8
    assert [message.source for message in messages] == [f"{name}!{names[3]}" for name in ("a.tar", "b.zip")]
    assert (rejects, entries) == (["unreadable_file"] * 6, 8)


@pytest.mark.parametrize("pack", ["tar", "zip"])
def test_a_maildir_in_an_archive_is_known_by_its_two_halves(tmp_path: Path, pack: str) -> None:
    files = {f"home/{half}/1": b"no headers at all" for half in ("cur", "new", "tmp")} | {"cur/2": mail(2)}
    if pack == "tar":
        tar(tmp_path / "a.tar", files)
    else:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    items = discover(tmp_path)

    assert [(item.source.partition("!")[2], item.format) for item in items] == [
        *(("cur/2", "mail"), ("home/cur/1", "mail"), ("home/new/1", "mail"))
    ]


def test_links_devices_and_folders_in_a_tar_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            member = tarfile.TarInfo(f"kind{kind!r}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("one.eml")
        member.size = len(mail(1))
        archive.addfile(member, io.BytesIO(mail(1)))

    assert ["a.tar!one.eml"] == [item.source for item in discover(tmp_path)]


def test_a_slack_export_in_a_tar_keeps_its_names(tmp_path: Path) -> None:
    said = {"user": "U1", "text": "Ask <@U1>, or Ada.", "ts": "1700000000.01"}
    users = [{"id": "U1", "real_name": "Ada Ray"}]
    files = {"channels.json": [], "users.json": users, "desk/2024-01-02.json": [said]}
    tar(tmp_path / "slack.tar", {f"./acme/{name}": json.dumps(each).encode() for name, each in files.items()})

    (message,), rejects, _ = taken(tmp_path)

    assert (message.channel, message.text.count("[PERSON_"), rejects) == ("chat", 2, [])


def test_what_comes_before_the_damage_in_a_tar_is_kept(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{number}.eml": mail(number) for number in range(5)})
    content = bytearray(path.read_bytes())
    content[3 * 1024] ^= 0xFF
    path.write_bytes(bytes(content))

    messages, rejects, entries = taken(tmp_path)

    assert [message.subject for message in messages] == ["number 0", "number 1", "number 2"]
    assert (rejects, entries) == (["unreadable_file"], 4)


def test_a_tar_that_breaks_off_loses_only_its_end(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"a.eml": mail(0), "box": mbox(100)})
    path.write_bytes(path.read_bytes()[: 1024 + 512 + 3000])

    messages, rejects, entries = taken(tmp_path)

    assert {message.source for message in messages} == {"a.tar!a.eml", "a.tar!box"}
    assert rejects == ["unreadable_file"]
    assert len(messages) + 1 == entries


def test_a_compressed_tar_is_a_reject(tmp_path: Path) -> None:
    packed = gzip.compress(tar(tmp_path / "a.tar", {"a.eml": mail(0)}).read_bytes())
    (tmp_path / "a.tar").unlink()
    (tmp_path / "a.tgz").write_bytes(packed)

    assert taken(tmp_path)[1] == ["unrecognised_format"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 5119), st.integers(0, 255)), max_size=12))
def test_whatever_a_tar_holds_everything_in_it_is_counted(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    path = tar(tmp_path / "a.tar", {f"{'long/' * 40}{number}.eml": mail(number) for number in range(2)})
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place] = value
    for start in range(0, len(content), 512):  # sound again, so that the walk goes on with what it was told
        header = content[start : start + 512]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(content))

    messages, rejects, entries = taken(path)

    assert len(messages) + len(rejects) == entries


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_a_file_in_the_place_of_another_is_read_itself_though_the_clock_stands_still(
    tmp_path: Path, suffix: str
) -> None:
    path, other = tmp_path / f"a.{suffix}", tmp_path / "other"
    subjects = []
    for number in range(2):
        if suffix == "tar":
            tar(other, {f"{number}.eml": mail(number)})
        else:
            with zipfile.ZipFile(other, "w") as archive:
                archive.writestr(f"{number}.eml", mail(number))
        os.utime(other, (0, 0))
        other.rename(path)
        subjects += [message.subject for message in taken(path)[0]]

    assert ["number 0", "number 1"] == subjects
