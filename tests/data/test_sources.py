"""Every file of an archive is found and classified, whatever it is called."""

import os
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.prepare import prepare
from data.sources import discover, source_of
from data.workspace import UserError

MAIL = b"From: a@x.org\nSubject: s\n\nbody\n"
FILES = {
    "box": b"From a@x.org Fri Apr 20 19:35:02 2001\n" + MAIL,
    "one.eml": b"From a@x.org Fri Apr 20 19:35:02 2001\n" + MAIL,
    "noname": MAIL,
    "home/cur/1:2,S": b"no headers at all",
    "home/new/2": MAIL,
    "home/tmp/3": MAIL,
    ".hidden/x.eml": MAIL,
    "team/channels.json": b"[]",
    "team/users.json": b"[",
    "team/desk/2024-01-02.json": b"[]",
    "graph.json": b'{"value": [{}]}',
    "call.vtt": b"WEBVTT\n\n",
    "call.srt": b"1\n00:00:01,000 --> 00:00:02,000\nhi\n",
    "call.txt": b"[00:01] Ada: hi\n[00:02] Bo: hi\n[00:03] Ada: so\n",
    "mail.msg": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "prose.txt": b"Nothing that anybody said.\n",
    "mail.txt": MAIL,
    "rows.jsonl": b'{"text": "x"}\n',
    "rows.parquet": b"PAR1",
    "image.png": b"\x89PNG",
    "labels.csv": b"source,label\n",
    "questions.jsonl": b"",
}
FORMATS = {
    "box": "mbox",
    "one.eml": "mail",
    "noname": "mail",
    "home/cur/1:2,S": "mail",
    "home/new/2": "mail",
    "team/users.json": "damaged",
    "team/desk/2024-01-02.json": "slack",
    "graph.json": "teams",
    "call.vtt": "transcript",
    "call.srt": "transcript",
    "call.txt": "plain_transcript",
    "mail.msg": "mail",
    "prose.txt": "unrecognised",
    "mail.txt": "mail",
    "rows.jsonl": "jsonl",
    "rows.parquet": "parquet",
    "image.png": "unrecognised",
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_tells_the_formats_apart(tmp_path: Path) -> None:
    (write(tmp_path, FILES) / "home" / "cur").mkdir(exist_ok=True)

    items = discover(tmp_path)

    assert {item.source: item.format for item in items} == FORMATS


def test_no_two_files_share_a_source(tmp_path: Path) -> None:
    for name in (b"\xff.eml", b"\\xff.eml", b"\\x5cxff.eml", b"in\\a.eml", b"x.zip!a.eml"):
        (tmp_path / os.fsdecode(name)).write_bytes(MAIL)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, warnings.catch_warnings(action="ignore"):
        for name in ("a.eml", "a.eml", "a.eml", "a.eml~2", "a.eml~2"):
            archive.writestr(name, MAIL)

    sources = {item.source for item in discover(tmp_path)}

    loose = {"\\xff.eml", "\\x5cxff.eml", "\\x5cx5cxff.eml", "in\\a.eml", "x.zip\\x21a.eml"}
    members = {"a.eml", "a.eml~3", "a.eml~4", "a.eml~2", "a.eml~2~2"}
    assert loose | {f"x.zip!{name}" for name in members} == sources


@given(st.lists(st.lists(st.sampled_from([b"\\", b"x", b"f", b"5c", b"21", b"!", b"\xff"])).map(b"".join)))
def test_no_two_names_are_called_the_same(names: list[bytes]) -> None:
    assert len(set(names)) == len({source_of(name) for name in names})


def test_a_single_file_is_an_archive(tmp_path: Path) -> None:
    write(tmp_path, {"box": FILES["box"], "other.eml": MAIL})

    assert [("box", "mbox")] == [(item.source, item.format) for item in discover(tmp_path / "box")]


def test_a_pipe_and_a_broken_link_are_unreadable_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    assert {item.format for item in discover(tmp_path)} == {"unreadable"}


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["missing", "empty"])
def test_an_archive_without_messages_is_a_mistake_of_the_user(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "archive")

    with pytest.raises(UserError, match="archive"):
        discover(tmp_path / "archive")


def test_only_where_the_sample_is_accepted_is_it_advised(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"

    with pytest.raises(UserError, match=r"give the path of a folder or of one file$"):
        discover(nowhere)
    with pytest.raises(UserError, match=r"or: sample$"):
        prepare(str(nowhere), tmp_path / "prepared")
