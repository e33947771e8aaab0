"""Mail of every shape becomes a record, or a reject that says why."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.mbox import survey
from data.mime import unfolded
from data.read_mail import LONGEST_ATTACHED, read_mail, read_mbox
from data.record import Party, Record, Rejected

PLAIN = b"""From: "J\xc3\xb6rg M\xc3\xbcller" <Joerg@Example.org>
To: Ada <ada@example.org>, undisclosed
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Message-ID: <2@example.org>
References: <0@example.org>
 <1@example.org>
Date: Fri, 20 Apr 2001 19:35:02 -0400

Hello there.
"""


def record(raw: bytes) -> Record:
    entry = read_mail(raw)
    assert isinstance(entry, Record)
    return entry


def test_reads_headers_with_raw_and_encoded_letters() -> None:
    mail = record(PLAIN)

    assert Party("Jörg Müller", "joerg@example.org") == mail.sender
    assert (Party("Ada", "ada@example.org"), Party("undisclosed", "")) == mail.recipients
    assert mail.subject == "Grüße"
    assert ("0@example.org", "1@example.org") == mail.parents
    assert datetime(2001, 4, 20, 23, 35, 2, tzinfo=UTC) == mail.sent_at
    assert mail.body == "Hello there."


def test_reads_carriage_returns_as_line_ends() -> None:
    assert record(PLAIN).body == record(PLAIN.replace(b"\n", b"\r\n")).body


def test_prefers_the_plain_alternative_and_describes_the_attachment() -> None:
    mail = record(
        b"Subject: x\nContent-Type: multipart/mixed; boundary=A\n\n--A\n"
        b"Content-Type: multipart/alternative; boundary=B\n\n"
        b"--B\nContent-Type: text/plain\n\nplain words\n--B\nContent-Type: text/html\n\n<p>rich</p>\n--B--\n"
        b"--A\nContent-Type: text/plain\nContent-Disposition: attachment; filename=list.txt\n\n"
        b"secret list\n--A--\n"
    )

    assert mail.body == "plain words"
    assert [("list.txt", "text/plain", 11)] == [
        (each.name, each.content_type, each.size) for each in mail.attachments
    ]


def test_reads_html_when_there_is_nothing_else() -> None:
    mail = record(b"Subject: x\nContent-Type: text/html; charset=utf-8\n\n<p>Price &amp; terms</p><br>Bye")

    assert mail.body.split() == ["Price", "&", "terms", "Bye"]


def test_reads_a_mail_inside_a_mail() -> None:
    mail = record(
        b"Subject: Fwd\nContent-Type: multipart/mixed; boundary=A\n\n--A\nContent-Type: text/plain\n\nsee\n"
        b"--A\nContent-Type: message/rfc822\n\nFrom: z@example.org\nSubject: inner\n\ninner words\n--A--\n"
    )

    assert mail.body.startswith("see")
    assert mail.body.endswith("inner words")
    assert [each.content_type for each in mail.attachments] == ["message/rfc822"]


def test_keeps_the_text_of_a_container_whose_boundary_never_comes() -> None:
    assert (
        "lost words" in record(b"Subject: x\nContent-Type: multipart/mixed; boundary=A\n\nlost words\n").body
    )


def test_decodes_a_body_whose_charset_is_wrong() -> None:
    assert record(b"Subject: x\nContent-Type: text/plain; charset=no-such\n\ncaf\xe9").body == "café"


def test_rejects_what_is_no_mail() -> None:
    assert read_mail(b"") == Rejected(0, 0, 0, "empty_message")
    assert read_mail(b"\x00\x9f\x92\x96 junk: more\n\n") == Rejected(0, 0, 17, "invalid_message")


def test_takes_the_time_of_receipt_when_the_date_is_nonsense() -> None:
    mail = record(
        b"Date: yesterday\nReceived: from a by b; Fri, 20 Apr 2001 19:35:02 +0000\nSubject: x\n\nhi"
    )

    assert datetime(2001, 4, 20, 19, 35, 2, tzinfo=UTC) == mail.sent_at


MBOX = (
    b"From a@example.org Fri Apr 20 19:35:02 2001\nSubject: one\n\nbody\n\nFrom here it is only text\n\n"
    b"From time to time in 2001\nthis line is no header\n\n>From the escaped line\n\n"
    b"From b@example.org Fri Apr 20 19:36:02 2001\nSubject: two\n\nsecond\n\n"
    b"From c@example.org Fri Apr 20 19:37:02 2001\nSubject: three\n\nthird\n"
)


def test_splits_an_mbox_at_real_separators_only() -> None:
    entries = list(read_mbox(MBOX, first=0, offset=0))

    assert [entry.subject for entry in entries if isinstance(entry, Record)] == ["one", "two", "three"]
    assert isinstance(entries[0], Record)
    assert entries[0].body.endswith("\nFrom the escaped line")


def test_ranges_of_an_mbox_hold_every_message_once_whatever_their_size(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(MBOX * 5)
    whole = [
        (entry.locator, entry.byte_start, entry.byte_end) for entry in read_mbox(MBOX * 5, first=0, offset=0)
    ]

    for size in (1, 100, 300, 10_000):
        found = survey(path, range_bytes=size)
        entries = [
            (entry.locator, entry.byte_start, entry.byte_end)
            for each in found.ranges
            for entry in read_mbox(
                path.read_bytes()[each.start : each.end], first=each.first, offset=each.start
            )
        ]

        assert entries == whole
        assert found.messages == 15


def test_an_encoded_word_of_broken_base64_stays_as_it_was_written() -> None:
    assert "=?utf-8?b?A?=" == unfolded("=?utf-8?b?A?=")


def attached(content_type: bytes, content: bytes) -> bytes:
    return (
        b"--A\nContent-Type: " + content_type + b"\nContent-Disposition: attachment; filename=f\n\n" + content
    )


def mixed(*parts: bytes) -> bytes:
    head = b"Subject: x\nContent-Type: multipart/mixed; boundary=A\n\n"
    return head + b"\n".join((b"--A\nContent-Type: text/plain\n\nsee below", *parts)) + b"\n--A--\n"


def test_reads_the_text_of_attached_texts_apart_from_the_body() -> None:
    mail = record(
        mixed(
            attached(b"text/csv", b"a;b\n1;2"),
            attached(b"text/html", b"<p>rich &amp; short</p>"),
            attached(b"text/calendar", b"ATTENDEE:mailto:ada@exam\n ple.org"),
            attached(b"text/plain", "wide".encode("utf-16")),
            attached(b"text/plain", b"\0\1\2 no text"),
            attached(b"text/rtf", b"{\\rtf1}"),
            attached(b"application/pdf", b"%PDF"),
        )
    )

    assert mail.body == "see below"
    assert [each.text for each in mail.attachments] == [
        *("a;b\n1;2", "rich & short", "ATTENDEE:mailto:ada@example.org", "wide", "", "", "")
    ]


def test_attached_texts_are_cut_between_lines_where_they_are_too_long_together() -> None:
    line = b"nine char\n"
    mail = record(
        mixed(*[attached(b"text/plain", line * 9_000)] * 3, attached(b"text/plain", b"x" * 300_000))
    )

    texts = [each.text for each in mail.attachments]

    assert sum(map(len, texts)) <= LONGEST_ATTACHED
    assert texts[2].endswith("nine char")
    assert texts[3] == ""
    assert mail.attachments[2].size == len(line) * 9_000


def test_an_invitation_beside_the_body_is_an_attachment() -> None:
    mail = record(
        b"Subject: x\nContent-Type: multipart/alternative; boundary=A\n\n"
        b"--A\nContent-Type: text/plain\n\nplain\n--A\nContent-Type: text/html\n\n<p>rich</p>\n"
        b"--A\nContent-Type: text/calendar\n\nSUMMARY:lunch\n--A--\n"
    )

    assert mail.body == "plain"
    assert [each.text for each in mail.attachments] == ["SUMMARY:lunch"]


def test_keeps_the_text_and_the_attachments_of_mails_nested_five_deep() -> None:
    nested = b"Subject: level 5\n\nwords 5\n"
    for level in range(4, -1, -1):
        edge = b"edge%d" % level
        nested = (
            b"Subject: level %d\nContent-Type: multipart/mixed; boundary=%s\n\n" % (level, edge)
            + b"--%s\nContent-Type: text/plain\n\nwords %d\n" % (edge, level)
            + b"--%s\nContent-Type: text/csv\n" % edge
            + b"Content-Disposition: attachment; filename=%d.csv\n\nrow %d\n" % (level, level)
            + b"--%s\nContent-Type: message/rfc822\n\n" % edge
            + nested
            + b"\n--%s--\n" % edge
        )

    mail = record(nested)

    assert [mail.body.count(f"words {level}") for level in range(6)] == [1] * 6
    assert [each.text for each in mail.attachments if each.text] == [f"row {level}" for level in range(5)]
    assert [each.name for each in mail.attachments if not each.text] == [
        f"level {level}" for level in range(1, 6)
    ]


def test_a_sender_behind_thousands_of_brackets_is_unknown() -> None:
    mail = record(b"Subject: x\nFrom: " + b"(" * 5000 + b" <ada@example.org>\n\nHello there.\n")

    assert (Party(), "Hello there.") == (mail.sender, mail.body)


def test_long_lists_of_people_are_read_to_their_end() -> None:
    people = [Party(f"Ann, {number}", f"ann{number}@example.org") for number in range(2000)]
    listed = ", ".join(f'"{party.name}" <{party.address}>' for party in people)

    assert record(f"Subject: x\nTo: {listed}\n\nHello.".encode()).recipients == tuple(people)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "unit"),
    [
        (b"From: a <", b"@exam"),
        (b"Subject: ", b"=?a?q?x?= "),
        (b"Subject: ", b"Re: "),
        (b"Content-Type: multipart/mixed; boundary=A", b";"),
    ],
)
def test_a_header_of_two_megabytes_is_read_within_a_bound_that_quadratic_time_exceeds(
    header: bytes, unit: bytes
) -> None:
    raw = header + unit * (2_000_000 // len(unit)) + b"\nX-End: 1\n\nHello."
    start = time.process_time()

    assert record(raw).body == "Hello."
    assert time.process_time() - start < 15
