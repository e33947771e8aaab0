"""Normalising takes the raw text out, and what it decides does not depend on whom a message is about."""

import time
import unicodedata
from dataclasses import replace

import pytest

from data.normalise import Normal, clean, normalise, without_digits
from data.record import Attached, Party, Record, Rejected

KEY = b"k" * 32
MAIL = Record(
    locator=0,
    byte_start=0,
    byte_end=9,
    channel="email",
    sent_at=None,
    sender=Party("Ada Raymond", "ada@example.org"),
    recipients=(Party("Bo Lindqvist", "bo@example.org"),),
    subject="For bo@example.org",
    body="Bo Lindqvist, write to ada@example.org please.\n\n> quoted words",
    attachments=(Attached("letter to bo@example.org.pdf", "application/pdf"),),
    names=("Ada Raymond", "Bo Lindqvist"),
)


def normal(record: Record) -> Normal:
    message = normalise(record, source="a.mbox", source_sha256="0", secret=KEY)
    assert isinstance(message, Normal)
    return message


def test_no_column_holds_the_people() -> None:
    written = repr(normal(MAIL)).lower()

    assert not [name for name in ("ada", "raymond", "bo@", "lindqvist") if name in written]


def test_messages_from_one_place_can_be_told_apart_without_naming_it() -> None:
    bo, other = Party("Bo", "bo@EXAMPLE.org"), Party("Ada", "ada@example.com")
    domains = [normal(replace(MAIL, sender=each)).sender_domain for each in (MAIL.sender, bo, other)]

    assert domains[0] == domains[1] != domains[2]
    assert domains[0].startswith("[DOMAIN_")
    assert "" == normal(replace(MAIL, sender=Party("Ada Raymond"))).sender_domain


def test_text_is_what_the_author_wrote_and_zones_cover_the_rest() -> None:
    message = normal(MAIL)

    assert "quoted" not in message.text
    assert "quoted" in message.full_text
    assert message.zones[-1].end == len(message.full_text)


def test_attached_texts_stand_below_the_body_in_zones_that_nobody_can_imitate() -> None:
    imitated = "Look.\n\n----- Attachment: list.csv -----\nmy own words"
    files = (
        Attached("list.csv", "text/csv", text="ada@example.org;1"),
        Attached("b.txt", "text/plain", text="two"),
    )
    message = normal(replace(MAIL, body=imitated, attachments=files))

    shown = [(zone.kind, message.full_text[zone.start : zone.end]) for zone in message.zones]
    assert [kind for kind, _ in shown] == ["body", "attachment", "attachment"]
    assert message.text == imitated
    assert shown[1][1].startswith("\n\n----- Attachment: list.csv -----\n[EMAIL_")
    assert shown[2][1].endswith("\ntwo")
    assert "".join(text for _, text in shown) == message.full_text


def test_an_attached_text_stands_in_where_there_is_nothing_else() -> None:
    bare = replace(MAIL, subject="", body="", attachments=(Attached("", "text/plain", text="only this"),))

    assert normal(bare).text == "only this"
    assert [zone.kind for zone in normal(bare).zones] == ["attachment"]


def test_subject_stands_in_for_a_missing_body_and_nothing_at_all_is_a_reject() -> None:
    bare = replace(MAIL, body="", attachments=())

    assert normal(bare).text == normal(bare).subject
    assert isinstance(
        normalise(replace(bare, subject=" "), source="a", source_sha256="", secret=KEY), Rejected
    )


def test_other_people_change_pseudonyms_only() -> None:
    one = normal(MAIL)
    other = normal(
        replace(
            MAIL,
            sender=Party("Ida Raymond", "ida@example.org"),
            body=MAIL.body.replace("ada@", "ida@"),
            names=("Ida Raymond", "Bo Lindqvist"),
        )
    )

    assert one.text != other.text
    assert without_digits(one.text) == without_digits(other.text)
    assert (one.message_id, one.content_digest) == (other.message_id, other.content_digest)


def test_another_key_changes_no_identifier_of_a_message() -> None:
    other = normalise(MAIL, source="a.mbox", source_sha256="0", secret=b"o" * 32)

    assert isinstance(other, Normal)
    assert normal(MAIL).message_id == other.message_id
    assert normal(MAIL).key != other.key


def test_speakers_of_a_transcript_become_pseudonyms() -> None:
    call = replace(
        MAIL, channel="transcript", body="PhD D: it works\nAda Raymond: good", names=("PhD D", "Ada Raymond")
    )

    lines = normal(call).text.split("\n")

    assert [line.partition("_")[0] for line in lines] == ["[PERSON", "[PERSON"]


def test_clean_removes_controls_and_keeps_letters() -> None:
    assert clean("a\x00\x1b[b\r\ncafe\u0301 \ud800  \n") == "a[b\ncafé ?\n"


def test_clean_leaves_no_half_signs_that_an_encoded_word_stands_for() -> None:
    clean("hello =?utf-7?Q?+2AA-?= world and =?unicode_escape?q?=5Cud800?=").encode()


def test_clean_needs_no_longer_for_a_megabyte_of_blanks() -> None:
    start = time.process_time()

    assert clean("a" + " " * 1_000_000 + "b \t\n").endswith(" b\n")
    assert time.process_time() - start < 1


@pytest.mark.parametrize("marks", ["\u0323\u0301", "\u0301\u0323\u0345", "\u0f73", "\u302e\u3099"])
def test_clean_needs_no_longer_for_many_marks_on_one_letter(marks: str) -> None:
    start = time.process_time()

    cleaned = clean("#" + marks * 100_000)

    assert time.process_time() - start < 2
    decomposed = unicodedata.normalize("NFD", marks)
    assert [cleaned.count(mark) for mark in decomposed] == [100_000] * len(decomposed)


def test_clean_leaves_few_marks_and_rows_of_other_signs_alone() -> None:
    assert clean("e\u0301" * 40 + "─" * 90 + "😀" * 40) == "é" * 40 + "─" * 90 + "😀" * 40
