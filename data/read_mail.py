"""Mail: from an mbox, a Maildir or single files to records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import getaddresses, parsedate_to_datetime
from io import BufferedReader, BytesIO

from data.html_text import html_to_text
from data.mbox import split, stream
from data.mime import Part, UnreadableMailError, parse
from data.record import Attached, Entry, Party, Record, Rejected

LARGEST = 64 << 20
LONGEST_BODY = 1_000_000  # characters; what follows in a longer one is a log or a dump, not correspondence
REPLY = re.compile(r"^\s*(?:re|aw|sv|vs|antw|fwd?|wg|tr|rif|res|ref)\s*(?:\[\d+\])?\s*[::]\s*", re.IGNORECASE)
TAG = re.compile(r"^\s*\[[^\]]{1,40}\]\s*")
_ID = re.compile(r"<([^<>\s]{1,998})>")
_PARENTS = 200
TEXTS = ("text/plain", "text/html", "text/enriched", "text", "")


def read_mbox(content: bytes, *, first: int, offset: int) -> Iterator[Entry]:
    """Read the messages of a range that begins with the file's ``first``-th message at ``offset``."""
    starts = list(split(content)) if len(content) <= 2 * LARGEST else [(0, content)]
    ends = [start for start, _ in starts[1:]] + [len(content)]
    for ordinal, ((start, raw), end) in enumerate(zip(starts, ends, strict=True)):
        yield read_mail(raw, locator=first + ordinal, byte_start=offset + start, byte_end=offset + end)


def read_mbox_stream(handle: BufferedReader | BytesIO) -> Iterator[Entry]:
    """Read the messages of an mbox that comes out of a decompressor; places count unpacked bytes.

    Raises:
        OSError: while iterating: the stream ends in damage.
    """
    for locator, each in enumerate(stream(handle, largest=LARGEST)):
        if each.raw is None:
            yield Rejected(locator, each.start, each.end, "too_large")
        else:
            yield read_mail(each.raw, locator=locator, byte_start=each.start, byte_end=each.end)


def read_mail(raw: bytes, *, locator: int = 0, byte_start: int = 0, byte_end: int | None = None) -> Entry:
    """Read one mail; what cannot be read is rejected, never raised."""
    end = byte_start + len(raw) if byte_end is None else byte_end
    if raw.startswith((b"From ", b">From ")):  # the envelope line of an mbox, left on by an exporter
        raw = raw.partition(b"\n")[2]
    if len(raw) > LARGEST:
        return Rejected(locator, byte_start, end, "too_large")
    if not raw.strip():
        return Rejected(locator, byte_start, end, "empty_message")
    try:
        mail = parse(raw)
    except UnreadableMailError:
        return Rejected(locator, byte_start, end, "invalid_message")
    return _record(mail, locator, byte_start, end)


def _record(mail: Part, locator: int, byte_start: int, byte_end: int) -> Record:
    senders = _parties(mail, "from") or _parties(mail, "sender") or _parties(mail, "return-path")
    recipients = [party for name in ("to", "cc", "bcc") for party in _parties(mail, name)]
    subject = mail.header("subject")
    body, attachments = _content(mail)
    sender = senders[0] if senders else Party()
    return Record(
        locator=locator,
        byte_start=byte_start,
        byte_end=byte_end,
        channel="email",
        sent_at=_date(mail),
        sender=sender,
        recipients=tuple(dict.fromkeys(recipients)),
        subject=subject,
        body=body,
        attachments=attachments,
        key=_own_id(mail),
        parents=_parents(mail),
        topic=_topic(subject, [sender, *recipients]),
        is_reply=bool(REPLY.match(TAG.sub("", subject))),
        names=tuple(
            dict.fromkeys(
                party.name for party in [*senders, *recipients, *_parties(mail, "reply-to")] if party.name
            )
        ),
    )


def _parties(mail: Part, header: str) -> list[Party]:
    values = [value for value in mail.headers.get(header, ()) if value]
    try:
        found = getaddresses(values)
    except (ValueError, IndexError, TypeError):
        found = []
    parties = []
    for name, address in found:
        is_address = "@" in address
        shown = " ".join((name or ("" if is_address else address)).split()).strip("'\"")
        party = Party("" if "@" in shown else shown, address.lower() if is_address else "")
        if party:
            parties.append(party)
    return parties


def _date(mail: Part) -> datetime | None:
    """Return when a mail was sent, or else received; a nonsensical date is no date."""
    received = mail.header("received").rpartition(";")[2]
    for value in (mail.header("date"), received):
        try:
            when = parsedate_to_datetime(value.strip())
            when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if 1970 <= when.year < 2100:
            return when
    return None


def _own_id(mail: Part) -> str:
    stated = mail.header("message-id")
    found = _ID.search(stated)
    return found[1] if found else stated.strip()[:998]


def _parents(mail: Part) -> tuple[str, ...]:
    references = _ID.findall(mail.header("references"))
    answered = _ID.findall(mail.header("in-reply-to"))
    return tuple(dict.fromkeys([*references[:_PARENTS], *answered[:1]]))


def _topic(subject: str, parties: list[Party]) -> str:
    """Return what a reply without references shares with what it answers: subject and people."""
    bare, before = subject, ""
    while bare != before:
        before, bare = bare, REPLY.sub("", TAG.sub("", bare), count=1)
    bare = " ".join(bare.casefold().split())
    if len(bare) < 4:
        return ""
    people = sorted({party.address or party.name.casefold() for party in parties if party})
    return "\n".join([bare, *people])


def _content(mail: Part) -> tuple[str, tuple[Attached, ...]]:
    texts: list[str] = []
    attachments: list[Attached] = []
    named: list[str] = []
    _collect(mail, texts, named, attachments, depth=0)
    body = "\n\n".join(text for text in texts if text)
    if not body.strip():  # a mail whose only text carries a file name
        body = "\n\n".join(named)
    return body[:LONGEST_BODY], tuple(attachments)


def _collect(part: Part, texts: list[str], named: list[str], attachments: list[Attached], depth: int) -> None:
    """Walk the tree: inline text into the body, everything else described as an attachment.

    Of alternatives the plain one is taken, unless it is blank; a mail inside the mail is an
    attachment whose text is read too, below the sender's own.
    """
    if part.content_type == "multipart/alternative":
        chosen = _alternative(part)
        for child in part.children:
            if child is chosen or not child.content_type.startswith("text/"):
                _collect(child, texts, named, attachments, depth + 1)
    elif part.content_type == "message/rfc822" and part.children:
        inner = part.children[0]
        attachments.append(_attached(part, inner.header("subject")))
        texts.append(_forwarded_heading(inner))
        for child in part.children:
            _collect(child, texts, named, attachments, depth + 1)
    elif part.children:
        for child in part.children:
            _collect(child, texts, named, attachments, depth + 1)
    elif part.content is not None and not part.content_type.startswith("multipart/"):
        if _is_body(part):
            texts.append(_shown(part))
        else:
            attachments.append(_attached(part, ""))
            if part.content_type in TEXTS and part.disposition != "attachment":
                named.append(_shown(part))
    elif part.content and depth == 0:
        texts.append(_plain(part.text))  # a container whose boundary never comes: what is there is text


def _alternative(part: Part) -> Part | None:
    for wanted in ("text/plain", "text/html"):
        for child in part.children:
            if child.content_type == wanted and _is_body(child) and child.text.strip():
                return child
    return None


def _is_body(part: Part) -> bool:
    return part.content_type in TEXTS and part.disposition != "attachment" and not part.filename


def _shown(part: Part) -> str:
    return html_to_text(part.text) if part.content_type == "text/html" else _plain(part.text)


def _attached(part: Part, fallback: str) -> Attached:
    content = part.content or b""
    return Attached(
        part.filename or fallback, part.content_type, len(content), hashlib.sha256(content).hexdigest()
    )


def _forwarded_heading(mail: Part) -> str:
    lines = [
        f"{name}: {mail.header(name)}" for name in ("From", "Date", "To", "Subject") if mail.header(name)
    ]
    return "\n".join(["-----Original Message-----", *lines])


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
