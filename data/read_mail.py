"""Mail: from an mbox, a Maildir or single files, Outlook's among them, to records."""

from __future__ import annotations

import functools
import hashlib
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import getaddresses, parsedate_to_datetime
from io import BufferedReader, BytesIO

from data.html_text import html_to_text
from data.mbox import split, stream
from data.mime import Part, UnreadableMailError, decoded, parse
from data.outlook import MAGIC as OUTLOOK
from data.outlook import NotOutlookError, parse_outlook
from data.record import Attached, Entry, Party, Record, Rejected
from data.unsaid import UnexpectedError, told, unsaid

LARGEST = 64 << 20
LONGEST_ATTACHED = 200_000  # characters of all attached texts of a mail
LONGEST_MARKUP = 4_000_000
LONGEST_KNOWN = 500  # characters of a header whose people are remembered
LONGEST_TOPIC = 1000  # characters of a subject that threads are told by
LONGEST_LINE = 4000
LONGEST_BODY = 1_000_000  # characters; what follows in a longer one is a log or a dump, not correspondence
REPLY = re.compile(r"^\s*(?:re|aw|sv|vs|antw|fwd?|wg|tr|rif|res|ref)\s*(?:\[\d+\])?\s*[::]\s*", re.IGNORECASE)
TAG = re.compile(r"^\s*\[[^\]]{1,40}\]\s*")
_ID = re.compile(r"<([^<>\s]{1,998})>")
_PARENTS = 200
_STRETCH = re.compile(r".{1,8000}(?:(?<=>),|\Z)|.{1,8000}(?:,|\Z)|.{1,8000}", re.DOTALL)
NAMED = (
    *("from", "sender", "return-path", "to", "cc", "bcc", "delivered-to", "disposition-notification-to"),
    *("reply-to", "mail-reply-to", "mail-followup-to"),
    *("resent-from", "resent-sender", "resent-to", "resent-cc"),
)
TEXTS = ("text/plain", "text/html", "text/enriched", "text", "")
VARIANTS = ("text/x-amp-html", "text/watch-html")  # of a body, beside its plain one
MARKED_UP = ("text/rtf", "text/richtext")  # no text that anybody would read
FOLDED = ("text/calendar", "text/vcard", "text/x-vcard", "text/x-vcalendar", "text/directory")
_FOLD = re.compile(r"\n[ \t]")


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
        with unsaid(f"reading the mail at byte {byte_start:,}", but=(NotOutlookError, UnreadableMailError)):
            mail = parse_outlook(raw) if raw.startswith(OUTLOOK) else parse(raw)
            return _record(mail, locator, byte_start, end)
    except NotOutlookError:
        reason = "unrecognised_format"
    except UnreadableMailError:
        reason = "invalid_message"
    except UnexpectedError as error:
        reason = told(error)
    return Rejected(locator, byte_start, end, reason)


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
                party.name
                for part in _mails(mail)
                for field in NAMED
                for party in _parties(part, field)
                if party.name
            )
        ),
    )


def _mails(part: Part, depth: int = 0) -> Iterator[Part]:
    """Yield a mail and the mails within it: whoever their headers name may stand in any text."""
    if not depth or part.content_type == "message/rfc822":
        yield part
    for child in part.children:
        if part.content_type == "message/rfc822":
            yield child
        yield from _mails(child, depth + 1)


def _parties(mail: Part, header: str) -> list[Party]:
    values = mail.headers.get(header, ())
    return [
        party
        for value in values
        for party in (_known_parties(value) if len(value) <= LONGEST_KNOWN else _parties_in(value))
    ]


@functools.lru_cache(maxsize=1024)
def _known_parties(value: str) -> tuple[Party, ...]:
    """Return the parties of a header, read once: people write to each other again and again."""
    return _parties_in(value)


def _parties_in(value: str) -> tuple[Party, ...]:
    parties = []
    for name, address in _addresses(value):
        is_address = "@" in address
        shown = " ".join((name or ("" if is_address else address)).split()).strip("'\"")
        party = Party("" if "@" in shown else shown, address.lower() if is_address else "")
        if party:
            parties.append(party)
    return tuple(parties)


def _addresses(value: str) -> Iterator[tuple[str, str]]:
    """Yield names and addresses; of a long list stretch by stretch: the parser needs quadratic time."""
    for stretch in _STRETCH.findall(value):
        try:
            yield from getaddresses([stretch])
        except (ValueError, IndexError, TypeError, RecursionError):  # the last for comments within comments
            continue


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
    bare, before = subject[:LONGEST_TOPIC], ""
    while bare != before:
        before, bare = bare, REPLY.sub("", TAG.sub("", bare), count=1)
    bare = " ".join(bare.casefold().split())
    if len(bare) < 4:
        return ""
    people = sorted({party.address or party.name.casefold() for party in parties if party})
    return "\n".join([bare, *people])


def _content(mail: Part) -> tuple[str, tuple[Attached, ...]]:
    leaves = list(_leaves(mail, depth=0))
    body = "\n\n".join(leaf for leaf in leaves if isinstance(leaf, str) and leaf)
    files = [leaf for leaf in leaves if isinstance(leaf, _File)]
    stands_in = not body.strip()  # of a mail whose only text carries a file name
    if stands_in:
        body = "\n\n".join(_shown(file.part) for file in files if file.is_inline)
    left = LONGEST_ATTACHED
    attachments = []
    for file in files:
        text = "" if stands_in and file.is_inline else _attached_text(file.part, left)
        left -= len(text)
        content = file.part.content or b""
        digest = hashlib.sha256(content).hexdigest()
        attachments.append(Attached(file.name, file.part.content_type, len(content), digest, text))
    return _cut(body, LONGEST_BODY), tuple(attachments)


@dataclass(frozen=True, slots=True)
class _File:
    """A part that is recorded as an attachment."""

    part: Part
    name: str
    is_inline: bool = False


def _leaves(part: Part, depth: int) -> Iterator[str | _File]:
    """Walk the tree in order: inline text as text, everything else as an attachment.

    Of alternatives the plain one is taken, unless it is blank; a mail inside the mail is an
    attachment whose text is read too, below the sender's own.
    """
    if part.content_type == "multipart/alternative":
        chosen = _alternative(part)
        for child in part.children:
            if child is chosen or not (_is_body(child) or child.content_type in VARIANTS):
                yield from _leaves(child, depth + 1)
    elif part.content_type == "message/rfc822" and part.children:
        inner = part.children[0]
        yield _File(part, part.filename or inner.header("subject"))
        yield _forwarded_heading(inner)
        for child in part.children:
            yield from _leaves(child, depth + 1)
    elif part.children:
        for child in part.children:
            yield from _leaves(child, depth + 1)
    elif part.content is not None and not part.content_type.startswith("multipart/"):
        if _is_body(part):
            yield _shown(part)
        else:
            is_inline = part.content_type in TEXTS and part.disposition != "attachment"
            yield _File(part, part.filename, is_inline)
    elif part.content and depth == 0:
        yield _plain(part.text)  # a container whose boundary never comes: what is there is text


def _alternative(part: Part) -> Part | None:
    for wanted in ("text/plain", "text/html", "text/enriched"):
        for child in part.children:
            if child.content_type == wanted and _is_body(child) and child.text.strip():
                return child
    return None


def _is_body(part: Part) -> bool:
    return part.content_type in TEXTS and part.disposition != "attachment" and not part.filename


def _shown(part: Part) -> str:
    return html_to_text(part.text) if part.content_type == "text/html" else _plain(part.text)


def _attached_text(part: Part, longest: int) -> str:
    """Return the text of an attached text file; nothing for anything else, or for what only claims to be one.

    Lines that a calendar or an address card has folded are joined: redaction would not know half an address.
    """
    content = part.content or b""
    if longest <= 0 or not part.content_type.startswith("text/") or part.content_type in MARKED_UP:
        return ""
    is_wide = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    text = decoded(content, "utf-16") if is_wide else part.text
    if b"\0" in content and not is_wide and not part.charset.lower().startswith(("utf-16", "utf-32")):
        return ""
    text = _cut(text, LONGEST_MARKUP).removeprefix("\ufeff")
    if part.content_type == "text/html":
        return _cut(html_to_text(text), longest)
    text = _plain(text)
    return _cut(_FOLD.sub("", text) if part.content_type in FOLDED else text, longest)


def _cut(text: str, longest: int) -> str:
    """Return the beginning of a text up to the end of a line or a word: half an address looks like none."""
    if len(text) <= longest:
        return text
    last = max(text.rfind("\n", longest - LONGEST_LINE, longest), 0) or text.rfind(" ", 0, longest)
    return text[: max(last, 0)]


def _forwarded_heading(mail: Part) -> str:
    lines = [
        f"{name}: {mail.header(name)}" for name in ("From", "Date", "To", "Subject") if mail.header(name)
    ]
    return "\n".join(["-----Original Message-----", *lines])


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
