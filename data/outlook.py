"""An Outlook message (.msg) as the same tree of parts that a mail is.

Such a file is a small file system (MS-CFB) of properties (MS-OXMSG). What its tables promise is compared
with its size before they are followed: a few bytes can claim terabytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from io import BytesIO

from olefile import OleFileIO  # type: ignore[import-untyped]  # ships no types
from olefile.olefile import STGTY_STORAGE, STGTY_STREAM  # type: ignore[import-untyped]
from oxmsg.attachment import Attachment
from oxmsg.domain import constants as known
from oxmsg.properties import Properties
from oxmsg.recipient import Recipient
from oxmsg.storage import Storage, Stream

from data.mime import DEEPEST, Part, UnreadableMailError, parse, unfolded

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
PROPERTIES = "__properties_version1.0"
LARGEST_PROPERTIES = 1 << 20
TOP_HEADER, INNER_HEADER = 32, 24  # bytes before the properties of a message, and of one attached to it
_EMBEDDED = "__substg1.0_3701000D"
_RTF = 0x1009
_RECIPIENTS = {1: "to", 2: "cc", 3: "bcc"}
_HEADERS = {
    "subject": known.PID_SUBJECT,
    "message-id": known.PID_INTERNET_MESSAGE_ID,
    "references": known.PID_INTERNET_REFERENCES,
    "in-reply-to": known.PID_IN_REPLY_TO_ID,
}


class NotOutlookError(UnreadableMailError):
    """A container of this kind without a message in it."""


def parse_outlook(raw: bytes) -> Part:
    """Parse an Outlook message.

    Raises:
        NotOutlookError: the container holds something else, as that of an old Word document does.
        UnreadableMailError: it is damaged, or claims more than it holds.
    """
    try:
        tree = _tree(raw)
        if any(stream.name == PROPERTIES for stream in tree.streams):
            return _message(tree, TOP_HEADER, depth=0)
    except Exception as error:  # the libraries raise whatever they stumble over: struct.error, AssertionError
        raise UnreadableMailError(type(error).__name__) from None
    raise NotOutlookError("no message in the container")


class _Container(OleFileIO):
    def _check_duplicate_stream(self, first_sect: int, minifat: bool = False) -> None:
        """Leave it to the sum of sizes: the library's list of streams takes quadratic time."""


def _tree(raw: bytes) -> Storage:
    sector_shift, mini_shift = struct.unpack_from("<HH", raw, 30)
    fat_sectors, mini_fat_sectors = (struct.unpack_from("<L", raw, at)[0] for at in (44, 64))
    if sector_shift not in (9, 12) or mini_shift != 6:
        raise ValueError("sectors of no known size")
    if (fat_sectors + mini_fat_sectors) << sector_shift > len(raw):
        raise ValueError("more tables than bytes")
    container = _Container(BytesIO(raw))
    stated = sum(entry.size for entry in container.direntries if entry and entry.entry_type == STGTY_STREAM)
    if max(stated, container.root.size) > len(raw):
        raise ValueError("more content than bytes")
    return _storage(container, container.root)


def _storage(container: OleFileIO, entry: object) -> Storage:
    """Read a folder of the container, each stream from its own entry: by name would be quadratic."""
    streams, storages = [], []
    for kid in entry.kids:  # type: ignore[attr-defined]
        if kid.entry_type == STGTY_STREAM:
            if kid.name == PROPERTIES and kid.size > LARGEST_PROPERTIES:
                raise ValueError("too many properties")
            content = container._open(kid.isectStart, kid.size).read() if kid.size else b""
            if len(content) < kid.size:
                raise ValueError("a stream that breaks off")
            streams.append(Stream(kid.name, content))
        elif kid.entry_type == STGTY_STORAGE:
            storages.append(_storage(container, kid))
    return Storage(entry.name, tuple(streams), tuple(storages))  # type: ignore[attr-defined]


def _message(storage: Storage, header_bytes: int, depth: int) -> Part:
    properties = Properties(storage, properties_header_offset=header_bytes)
    parts = [*_body(properties), *(_attachment(each, depth) for each in storage.iter_attachment_storages())]
    return _part("multipart/mixed", None, children=parts, headers=_headers(storage, properties))


def _headers(storage: Storage, properties: Properties) -> dict[str, list[str]]:
    """Return the headers of the way through the internet, and what they lack from the properties."""
    stated: dict[str, list[str]] = {}
    for name, pid in _HEADERS.items():
        if value := properties.str_prop_value(pid):
            stated[name] = [unfolded(value)]
    for each in storage.iter_recipient_storages():
        recipient = Recipient(each)
        kind = _RECIPIENTS.get(recipient.properties.int_prop_value(known.PID_RECIPIENT_TYPE) or 1, "to")
        stated.setdefault(kind, []).append(_mailbox(recipient.name, recipient.email_address))
    name = properties.str_prop_value(known.PID_SENDER_NAME) or ""
    addresses = (
        properties.str_prop_value(pid)
        for pid in (known.PID_SENDER_SMTP_ADDRESS, known.PID_SENDER_EMAIL_ADDRESS)
    )
    stated["from"] = [_mailbox(name, next((each for each in addresses if each and "@" in each), ""))]
    if when := properties.date_prop_value(known.PID_CLIENT_SUBMIT_TIME):
        stated["date"] = [format_datetime(when)]
    transported = properties.str_prop_value(known.PID_TRANSPORT_MESSAGE_HEADERS) or ""
    if transported.startswith("Microsoft Mail Internet Headers"):
        transported = transported.partition("\n")[2]
    try:
        received = parse(transported.encode("utf-8", "replace").strip() + b"\n\n").headers
    except UnreadableMailError:
        received = {}
    return stated | {header: list(values) for header, values in received.items() if any(values)}


def _mailbox(name: str, address: str) -> str:
    """Return who it is as a header says it; an address inside an Exchange organisation is none outside."""
    name = " ".join(name.replace('"', "").replace("\\", "").split())
    address = "".join(address.split()).strip("<>")
    if "@" not in address:
        return f'"{name}"' if name else ""
    return f'"{name}" <{address}>' if name else address


def _body(properties: Properties) -> list[Part]:
    """Return the plain body, else the one in HTML, else the compressed RTF: recorded, not read."""
    if plain := properties.str_prop_value(known.PID_BODY):
        return [_part("text/plain", plain.encode("utf-8", "replace"), charset="utf-8")]
    if html := properties.binary_prop_value(known.PID_HTML):
        return [_part("text/html", html, charset=properties.body_encoding)]
    if html_text := properties.str_prop_value(known.PID_BODY_HTML):
        return [_part("text/html", html_text.encode("utf-8", "replace"), charset="utf-8")]
    rich = properties.binary_prop_value(_RTF)
    return [_part("text/rtf", rich)] if rich else []


def _attachment(storage: Storage, depth: int) -> Part:
    attached = Attachment(storage)
    properties = attached.properties
    inner = next((each for each in storage.storages if each.name == _EMBEDDED), None)
    filename = (
        attached.file_name
        or properties.str_prop_value(known.PID_ATTACH_FILENAME)
        or properties.str_prop_value(known.PID_DISPLAY_NAME)
        or ""
    )
    if inner and depth < DEEPEST:
        children = [_message(inner, INNER_HEADER, depth + 1)]
        return _part("message/rfc822", None, filename=filename, children=children)
    content_type = (attached.mime_type or "").lower().partition(";")[0].strip()
    return _part(content_type, attached.file_bytes or b"", filename=filename, disposition="attachment")


def _part(
    content_type: str,
    content: bytes | None,
    *,
    charset: str = "",
    filename: str = "",
    disposition: str = "",
    children: Sequence[Part] = (),
    headers: Mapping[str, Sequence[str]] | None = None,
) -> Part:
    return Part(
        content_type, charset, unfolded(filename), disposition, content, tuple(children), headers or {}
    )
