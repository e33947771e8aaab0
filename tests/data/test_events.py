"""An event is a file or a dead letter with a reason; what strangers write into one reaches no further."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.events import Event, from_json, prefixes, take_event, to_json
from data.intake import Arrived, Refused, Taken, Tally
from data.normalise import Normal
from data.workspace import UserError

KEY = b"k" * 32
MAIL = b"From: a@example.com\nSubject: Soup\n\nSoup at noon.\n"
SHA256 = hashlib.sha256(MAIL).hexdigest()


def taken(event: Event | bytes, *allowed: str, largest: int = 1 << 20) -> list[Taken]:
    value = to_json(event) if isinstance(event, Event) else event
    return list(take_event(value, place="mail/0/7", allowed=allowed, secret=KEY, largest=largest))


def dead_letter(*results: Taken) -> str:
    refused, tally, arrived = results
    assert isinstance(refused, Refused)
    assert isinstance(tally, Tally)
    assert isinstance(arrived, Arrived)
    assert (refused.stage, tally.entries, arrived.reason) == ("event", 1, refused.entry.reason)
    return f"{refused.source}: {refused.entry.reason}"


def test_an_event_carries_a_small_file() -> None:
    message, tally, arrived = taken(Event("inbox/1.eml", SHA256, MAIL))

    assert isinstance(message, Normal)
    assert ("Soup at noon.", "inbox/1.eml", SHA256) == (message.text, message.source, message.source_sha256)
    assert [Tally("inbox/1.eml", 1), Arrived("inbox/1.eml", SHA256)] == [tally, arrived]


def test_no_event_can_take_the_name_of_a_member_of_another(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.eml", MAIL)
    content = (tmp_path / "x.zip").read_bytes()

    member, _, _ = taken(Event("x.zip", hashlib.sha256(content).hexdigest(), content))
    loose, _, arrived = taken(Event("x.zip!a.eml", SHA256, MAIL))

    assert isinstance(member, Normal)
    assert isinstance(loose, Normal)
    assert ("x.zip!a.eml", "x.zip\\x21a.eml") == (member.source, loose.source)
    assert member.message_id != loose.message_id
    assert Arrived("x.zip\\x21a.eml", SHA256) == arrived


def test_an_event_names_a_file_and_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "1 2.eml"
    path.write_bytes(MAIL)

    message, _, _ = taken(Event("1.eml", SHA256, uri=path.as_uri()), *prefixes([str(tmp_path)]))

    assert isinstance(message, Normal)


def test_a_file_may_lie_in_any_store_that_is_allowed() -> None:
    import fsspec

    with fsspec.open("memory://archive/1.eml", "wb") as handle:
        handle.write(MAIL)
    event = Event("1.eml", SHA256, uri="memory://archive/1.eml")

    message, _, _ = taken(event, "memory://archive/")

    assert isinstance(message, Normal)
    assert dead_letter(*taken(event, "memory://archive/", largest=20)) == "1.eml: too_large"
    assert dead_letter(*taken(event, "memory://arch/")) == "1.eml: forbidden_uri"
    gone = Event("1.eml", SHA256, uri="memory://archive/2.eml")
    assert dead_letter(*taken(gone, "memory://archive/")) == "1.eml: vanished_file"


def test_a_vanished_and_an_altered_file_are_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "1.eml").write_bytes(MAIL + b"more")
    allowed = prefixes([str(tmp_path)])

    altered = taken(Event("1.eml", SHA256, uri=(tmp_path / "1.eml").as_uri()), *allowed)
    vanished = taken(Event("2.eml", SHA256, uri=(tmp_path / "2.eml").as_uri()), *allowed)
    inline = taken(Event("3.eml", SHA256, MAIL + b"more"))

    assert ["1.eml: altered_file", "2.eml: vanished_file", "3.eml: altered_file"] == [
        dead_letter(*each) for each in (altered, vanished, inline)
    ]


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "{allowed}/../secret.eml", "http://127.0.0.1/1.eml", "x", ""]
)
def test_an_event_reaches_only_what_is_allowed(uri: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.eml").write_bytes(MAIL)
    (tmp_path / "in" / "link.eml").symlink_to(tmp_path / "secret.eml")
    allowed = prefixes([str(tmp_path / "in")])

    for each in (uri.format(allowed=allowed[0].rstrip("/")), (tmp_path / "in" / "link.eml").as_uri()):
        assert dead_letter(*taken(Event("1.eml", SHA256, uri=each), *allowed)) == "1.eml: forbidden_uri"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps({"source": "a", "sha256": "00"}).encode(),
        json.dumps({"source": 7, "sha256": SHA256, "content": ""}).encode(),
        json.dumps({"source": "a\nb", "sha256": SHA256, "content": ""}).encode(),
        json.dumps({"source": "a", "sha256": SHA256, "content": "", "uri": "x"}).encode(),
        json.dumps({"source": "a", "sha256": SHA256, "content": "", "format": "slack"}).encode(),
        json.dumps({"source": "a" * 1001, "sha256": SHA256, "content": ""}).encode(),
    ],
)
def test_what_is_no_event_is_a_dead_letter_named_by_its_place(value: bytes) -> None:
    assert dead_letter(*taken(value)) == "mail/0/7: invalid_event"


def test_content_that_cannot_be_decoded_is_a_dead_letter_of_its_source() -> None:
    value = json.dumps({"source": "a", "sha256": SHA256, "content": "%%%"}).encode()

    assert dead_letter(*taken(value)) == "a: invalid_event"


@given(
    st.binary(max_size=200)
    | st.dictionaries(
        st.sampled_from(["source", "sha256", "uri", "content", "format"]),
        st.text(max_size=20)
        | st.just(SHA256)
        | st.sampled_from(["file:///", "file://[", "mail"])
        | st.none(),
    ).map(lambda fields: json.dumps(fields).encode())
)
def test_whatever_an_event_holds_it_is_counted(value: bytes) -> None:
    results = taken(value, "file:///nowhere/")

    assert isinstance(results[-1], Arrived)
    entries = sum(isinstance(each, Normal | Refused) for each in results)
    assert entries == sum(each.entries for each in results if isinstance(each, Tally))


def test_an_event_travels_unchanged() -> None:
    for event in (Event("a", SHA256, b"\0"), Event("b", SHA256, uri="file:///b", is_mail=True)):
        assert from_json(to_json(event)) == event


def test_a_store_without_a_client_is_said_at_once() -> None:
    with pytest.raises(UserError, match=r"nosuch://bucket cannot be fetched"):
        prefixes(["nosuch://bucket"])
