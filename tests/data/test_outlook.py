"""Outlook messages become records like any mail; damaged and dishonest ones are rejects."""

from __future__ import annotations

import struct
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.outlook import INNER_HEADER, TOP_HEADER
from data.read_mail import read_mail
from data.record import Party, Record, Rejected
from tests.data.outlook_file import Folder, container, properties

SENT = datetime(2024, 3, 1, 9, 30, tzinfo=UTC)
HEADERS = "From: Ada Ray <ada@example.org>\r\nReferences: <0@x>\r\n <1@x>\r\nMessage-ID: <2@x>\r\n"


def recipient(name: str, address: str, kind: int) -> Folder:
    return properties(8, p3001=name, p39FE=address, p0C15=kind)


def attachment(name: str, content: bytes, mime: str) -> Folder:
    return properties(8, p3707=name, p3701=content, p370E=mime, p3705=1)


def message(**more: str | bytes | int | datetime) -> dict[str, bytes | Folder]:
    stated = {"p0037": "Lünch", "p1000": "At noon?\r\nAda", "p0C1A": "Ada Ray", "p5D01": "ada@example.org"}
    return properties(TOP_HEADER, p0039=SENT, **(stated | more))


def record(tree: Folder) -> Record:
    entry = read_mail(container(tree))
    assert isinstance(entry, Record)
    return entry


def test_reads_who_wrote_what_to_whom_and_when() -> None:
    mail = record(
        {
            **message(p1035="<2@x>", p1042="<1@x>"),
            "__recip_version1.0_#00000000": recipient("Bo Lee", "Bo@example.org", 1),
            "__recip_version1.0_#00000001": recipient("Cy", "/o=Ex/cn=cy", 2),
        }
    )

    assert (mail.subject, mail.body, mail.sent_at) == ("Lünch", "At noon?\nAda", SENT)
    assert Party("Ada Ray", "ada@example.org") == mail.sender
    assert (Party("Bo Lee", "bo@example.org"), Party("Cy")) == mail.recipients
    assert (mail.key, mail.parents) == ("2@x", ("1@x",))


def test_headers_of_the_internet_come_before_properties() -> None:
    mail = record(message(p007D=HEADERS, p5D01="other@example.org"))

    assert Party("Ada Ray", "ada@example.org") == mail.sender
    assert (mail.key, mail.parents) == ("2@x", ("0@x", "1@x"))


def test_reads_html_where_there_is_no_plain_body() -> None:
    mail = record(message(p1000="", p1013="<p>Café &amp; more</p>".encode("cp1252"), p3FDE=1252))

    assert mail.body == "Café & more"


def test_reads_attachments_and_messages_within() -> None:
    inner = properties(INNER_HEADER, p0037="inner", p1000="inner words")
    mail = record(
        {
            **message(),
            "__attach_version1.0_#00000000": attachment("a.csv", b"a;b", "text/csv"),
            "__attach_version1.0_#00000001": attachment("b.bin", bytes(9000), "application/x-b"),
            "__attach_version1.0_#00000002": {
                **properties(8, p3705=5, p3001="inner"),
                "__substg1.0_3701000D": {
                    **inner,
                    "__attach_version1.0_#00000000": attachment("c.txt", b"deep", "text/plain"),
                },
            },
        }
    )

    assert mail.body.endswith("inner words")
    assert [(each.name, each.content_type, each.size, each.text) for each in mail.attachments] == [
        ("a.csv", "text/csv", 3, "a;b"),
        ("b.bin", "application/x-b", 9000, ""),
        ("inner", "message/rfc822", 0, ""),
        ("c.txt", "text/plain", 4, "deep"),
    ]


def test_another_file_of_that_container_is_none_of_ours() -> None:
    entry = read_mail(container({"WordDocument": bytes(5000)}))

    assert isinstance(entry, Rejected)
    assert entry.reason == "unrecognised_format"


@pytest.mark.parametrize(("place", "value"), [(44, 1 << 30), (64, 1 << 30), (30, 40), (48, 7)])
def test_tables_that_promise_more_than_there_is_are_rejects(place: int, value: int) -> None:
    raw = bytearray(container(message()))
    struct.pack_into("<L" if place != 30 else "<H", raw, place, value)

    entry = read_mail(bytes(raw))

    assert isinstance(entry, Rejected)
    assert entry.reason in ("invalid_message", "unrecognised_format")


def test_streams_that_share_their_bytes_are_a_reject() -> None:
    raw = bytearray(container({**message(), **{f"s{number}": bytes(5000) for number in range(20)}}))
    size = struct.pack("<LQ", 0, 5000)[4:]
    raw = raw.replace(size, struct.pack("<Q", 100_000))

    entry = read_mail(bytes(raw))

    assert isinstance(entry, Rejected)
    assert entry.reason == "invalid_message"


@pytest.mark.slow
def test_time_grows_with_the_number_of_streams_only() -> None:
    def seconds(streams: int) -> float:
        folders = {
            f"f{number}": {f"s{each}": b"x" for each in range(100)} for number in range(streams // 100)
        }
        raw = container({**message(), **folders})
        began = time.perf_counter()
        assert isinstance(read_mail(raw), Record)
        return time.perf_counter() - began

    seconds(1000)

    assert seconds(20_000) < 60 * max(seconds(2000), 0.01)


WHOLE = container({**message(), "__attach_version1.0_#00000000": attachment("a.csv", b"a;b", "text/csv")})


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=30),
    end=st.integers(0, len(WHOLE)),
)
def test_damage_anywhere_is_a_record_or_a_reject(changes: list[tuple[int, int]], end: int) -> None:
    raw = bytearray(WHOLE)
    for place, value in changes:
        raw[place] = value

    for content in (bytes(raw), WHOLE[:end]):
        assert isinstance(read_mail(content), Record | Rejected)
