"""One message as every later stage knows it: clean, redacted, zoned, keyed. The raw text ends here."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from data.encoded import decode_all
from data.language import language_of
from data.media_types import media_type
from data.record import Attached, Party, Record, Rejected
from data.redact import PLACEHOLDER, pseudonym, redact
from data.schema import PARSER
from data.zones import Zone, find_zones, own_text

_CONTROLS = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ufeff\ufff9-\ufffb]")
_EMPTY_LINES = re.compile(r"\n{4,}")
_MAYBE_MARKS = re.compile(r"[^\w\s\0-\x7f]{31,}")
_MARKS_IN_A_ROW = 30
_JOINER = "\u034f"
_SUBJECT_CHARACTERS = 500
_NAME_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Normal:
    """A message without raw text; the fields after ``byte_end`` serve grouping and are in no dataset."""

    message_id: str
    channel: str
    sent_at: datetime | None
    sender: str
    sender_domain: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    full_text: str
    zones: tuple[Zone, ...]
    language: str
    attachments: tuple[Attached, ...]
    source: str
    locator: int
    source_sha256: str
    byte_start: int
    byte_end: int
    content_digest: str
    key: str
    parents: tuple[str, ...] = field(default=())
    topic: str = ""
    is_reply: bool = False


def normalise(record: Record, *, source: str, source_sha256: str, secret: bytes) -> Normal | Rejected:
    """Return the message redacted, or a reject when nothing is left to read.

    Models read the author's own text. Where there is none (a bare forward, a file without a
    word) the subject stands in for it, then the whole body, then the attachments' names and texts:
    what a message says is then still in ``text``, and an entry without any of them is rejected as empty.
    """
    redacted = functools.partial(_redacted, record=record, secret=secret)
    subject = _beginning(redacted(" ".join(clean(record.subject).split())), _SUBJECT_CHARACTERS)
    body = clean(record.body)
    if record.channel == "transcript":
        body = _with_speakers_replaced(body, frozenset(record.names), secret)
    body = redacted(body)
    zones = find_zones(body) if record.channel == "email" else _one_zone(body)
    attachments = tuple(
        Attached(
            _beginning(redacted(clean(each.name)), _NAME_CHARACTERS),
            media_type(each.content_type),
            each.size,
            each.sha256,
            redacted(clean(each.text)),
        )
        for each in record.attachments
    )
    full_text, zones = _with_attached(body, zones, attachments)
    names = "\n".join(each.name for each in attachments if each.name)
    attached = "\n\n".join(each.text for each in attachments if each.text)
    text = own_text(body, zones).strip() or subject or names or attached.strip()
    if not text:
        return Rejected(record.locator, record.byte_start, record.byte_end, "empty_message")
    sent = record.sent_at.isoformat() if record.sent_at else ""
    sender = _who(record.sender, secret)
    recipients = tuple(dict.fromkeys(_who(party, secret) for party in record.recipients))
    return Normal(
        message_id=_digest(source, record.locator, sent, without_digits(subject), without_digits(text))[:24],
        channel=record.channel,
        sent_at=record.sent_at,
        sender=sender,
        sender_domain=_where(record.sender, secret),
        recipients=recipients,
        subject=subject,
        text=text,
        full_text=full_text,
        zones=zones,
        language=language_of(text),
        attachments=attachments,
        source=source,
        locator=record.locator,
        source_sha256=source_sha256,
        byte_start=record.byte_start,
        byte_end=record.byte_end,
        # for the dataset's digest: another key, or other people in the same text, leave it as it is
        content_digest=_digest(
            *(PARSER, source, record.locator, record.channel, sent, without_digits(sender), len(recipients)),
            *(without_digits(each) for each in (subject, full_text, text)),
            *(f"{without_digits(each.name)} {each.content_type}" for each in attachments),
        ),
        key=keyed(secret, record.key or f"{source}\n{record.locator}"),
        parents=tuple(keyed(secret, parent) for parent in record.parents),
        topic=keyed(secret, f"topic\n{record.topic}") if record.topic else "",
        is_reply=record.is_reply,
    )


def _with_attached(
    body: str, zones: tuple[Zone, ...], attachments: Sequence[Attached]
) -> tuple[str, tuple[Zone, ...]]:
    """Return the body with the attachments' texts below it, each in a zone of its own.

    A zone is known by its offsets: no body that imitates the line above an attachment makes one.
    """
    pieces, end = [body], len(body)
    below: list[Zone] = []
    for each in attachments:
        if each.text.strip():
            apart = "\n\n" if end else ""
            pieces.append(f"{apart}----- Attachment: {each.name or 'unnamed'} -----\n{each.text}")
            below.append(Zone("attachment", end, end + len(pieces[-1])))
            end = below[-1].end
    return "".join(pieces), (*zones, *below)


def clean(text: str) -> str:
    """Return text in one Unicode form, decoded, with plain line ends and without control characters."""
    text = decode_all(text.replace("\r\n", "\n").replace("\r", "\n"))
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")  # an encoded word may stand for half a sign
        text = _MAYBE_MARKS.sub(_with_marks_apart, text.replace("\u2028", "\n").replace("\u2029", "\n"))
        text = unicodedata.normalize("NFC", text)
    lines = _CONTROLS.sub("", text).split("\n")
    return _EMPTY_LINES.sub("\n\n\n", "\n".join([line.rstrip() for line in lines]))


def _with_marks_apart(run: re.Match[str]) -> str:
    """Return signs with a joiner behind every 30 combining marks: Unicode's Stream-Safe Text Format.

    Normalising sorts the marks of a letter, in a time that grows with the square of their number.
    """
    pieces: list[str] = []
    marks = 0
    for sign in run[0]:
        marks = marks + 1 if unicodedata.combining(unicodedata.normalize("NFD", sign)[0]) else 0
        if marks > _MARKS_IN_A_ROW:
            pieces.append(_JOINER)
            marks = 1
        pieces.append(sign)
    return "".join(pieces)


def _beginning(redacted: str, longest: int) -> str:
    """Return the beginning of a redacted text, cut between placeholders, never within one.

    What is cut before redaction keeps half an address that nobody would recognise, and where it is
    cut would depend on how long the personal data in it is.
    """
    if len(redacted) <= longest:
        return redacted
    across = next((each for each in PLACEHOLDER.finditer(redacted) if each.end() > longest), None)
    return redacted[: min(longest, across.start())] if across else redacted[:longest]


def without_digits(text: str) -> str:
    """Return redacted text with every pseudonym reduced to its type: the same whoever it is about."""
    return PLACEHOLDER.sub(r"[\1]", text) if "[" in text else text


def keyed(secret: bytes, value: str) -> str:
    """Return a name that only the holder of the key can tie to the value: 24 hexadecimal digits."""
    return hmac.digest(secret, b"thread\0" + value.encode("utf-8", "replace"), "sha256").hex()[:24]


def _redacted(text: str, record: Record, secret: bytes) -> str:
    return redact(text, key=secret, names=record.names, strangers=record.strangers).text if text else ""


@functools.lru_cache(maxsize=50_000)
def _who(party: Party, secret: bytes) -> str:
    if party.address:
        return pseudonym("EMAIL", party.address, key=secret)
    return pseudonym("PERSON", party.name, key=secret) if party.name else ""


@functools.lru_cache(maxsize=50_000)
def _where(party: Party, secret: bytes) -> str:
    return pseudonym("DOMAIN", party.domain, key=secret) if party.domain else ""


def _with_speakers_replaced(body: str, names: frozenset[str], secret: bytes) -> str:
    """Replace who speaks at the start of each line: also a role or an initial, which redaction may leave."""
    lines = []
    for line in body.split("\n"):
        speaker, colon, said = line.partition(": ")
        is_known = colon and speaker in names
        lines.append(f"{_who(Party(name=speaker), secret)}: {said}" if is_known else line)
    return "\n".join(lines)


def _one_zone(text: str) -> tuple[Zone, ...]:
    return (Zone("body", 0, len(text)),) if text else ()


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()
