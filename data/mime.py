"""A mail's bytes as a tree of parts: by the fast parser, and by the standard one where that gives up."""

from __future__ import annotations

import email
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from typing import Any

from data.encoded import decode_words

_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:+-]{1,40})""", re.IGNORECASE)
_LONG_LINE = re.compile(rb"^[^\n]{20000,}", re.MULTILINE)
_STRETCH = re.compile(r".{1,2000}(?:\s|\Z)|.{1,2000}", re.DOTALL)
DEEPEST = 30
LONGEST_PARAMETERS = 10_000  # characters of a header like Content-Type: those parsers need quadratic time
# What is ASCII throughout says the same in all charsets but those that shift with signs of ASCII.
SHIFTING = ("utf-7", "utf7", "iso-2022", "iso2022", "hz")
NO_CHARSETS = frozenset({"punycode", "idna"})  # codecs of Python for host names: quadratic time on long input
KNOWN = frozenset(
    {
        *("from", "to", "cc", "bcc", "subject", "date", "sender", "reply-to", "message-id", "in-reply-to"),
        *("references", "received", "return-path", "delivered-to", "mime-version", "content-type"),
        *("content-transfer-encoding", "content-disposition", "newsgroups", "path", "status"),
    }
)


class UnreadableMailError(ValueError):
    """No parser makes a mail of these bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """One node of a mail's tree. ``content`` is decoded from its transfer encoding; None for containers."""

    content_type: str
    charset: str
    filename: str
    disposition: str
    content: bytes | None
    children: tuple[Part, ...]
    headers: Mapping[str, Sequence[str]]

    def header(self, name: str) -> str:
        """Return the first value of a header, decoded and unfolded, or nothing."""
        values = self.headers.get(name.lower(), ())
        return values[0] if values else ""

    @property
    def text(self) -> str:
        return decoded(self.content or b"", self.charset)


def parse(raw: bytes) -> Part:
    """Parse a mail.

    Raises:
        UnreadableMailError: there is not one header in it, or no parser can read it.
    """
    normal = raw.replace(b"\r\n", b"\n")
    if any(b"=?" in match[0] for match in _LONG_LINE.finditer(normal)):
        part = _from_standard(normal)  # the fast parser decodes a line of encoded words in quadratic time
    else:
        part = _from_either(normal)
    if not any(name in KNOWN or name.startswith("x-") for name in part.headers):
        raise UnreadableMailError("no header that a mail has")
    return part


def _from_either(normal: bytes) -> Part:
    from fast_mail_parser import ParseError, parse_email_tree

    try:
        part = _from_fast(parse_email_tree(normal), depth=0)
        if part.content_type.startswith("multipart/") and not _has_content(part):
            part = _from_standard(normal)  # its boundary never comes: the standard parser keeps the text
        return part
    except (ParseError, ValueError, OverflowError):
        return _from_standard(normal)


def decoded(content: bytes, charset: str) -> str:
    """Decode text whose stated charset may be wrong, unknown or missing.

    Plain ASCII that claims to be UTF-16 or EBCDIC would come out as signs that hide it from redaction.
    """
    if content.isascii() and b"\0" not in content and not charset.lower().startswith(SHIFTING):
        return content.decode("ascii")
    for codec in (charset, "utf-8"):
        if codec and codec.lower() not in NO_CHARSETS:
            try:
                return content.decode(codec).replace("\0", "")
            except (LookupError, ValueError):
                continue
    return content.decode("cp1252", errors="replace").replace("\0", "")


def unfolded(value: str) -> str:
    """Return a header value on one line, with its encoded words decoded.

    A long value is decoded stretch by stretch: the standard decoder needs quadratic time.
    """
    value = printable(value)
    if "=?" in value:
        value = "".join(map(_with_words_decoded, _STRETCH.findall(value)))
        value = decode_words(value) if "=?" in value else value
    return " ".join(printable(value).split())


def _with_words_decoded(value: str) -> str:
    try:
        pieces = decode_header(value)
    except (ValueError, LookupError, AssertionError, HeaderParseError):
        return value
    return "".join(
        piece if isinstance(piece, str) else decoded(piece, codec or "") for piece, codec in pieces
    )


def printable(value: str) -> str:
    """Return text that can be written as UTF-8: bytes that a parser smuggled in as surrogates are decoded."""
    if value.isascii():
        return value.replace("\0", "")
    return (
        decoded(value.encode("utf-8", "surrogateescape"), "")
        if _has_surrogates(value)
        else value.replace("\0", "")
    )


def _has_surrogates(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def _has_content(part: Part) -> bool:
    return bool(part.content and part.content.strip()) or any(_has_content(child) for child in part.children)


def _from_fast(node: Any, depth: int) -> Part:
    headers: dict[str, list[str]] = {}
    for name, values in node.headers.items():
        headers.setdefault(name.lower(), []).extend(unfolded(value) for value in values)
    stated = _CHARSET.search((headers.get("content-type") or [""])[0])
    deeper = node.children if depth < DEEPEST else ()
    return Part(
        content_type=(node.content_type or "text/plain").lower().partition(";")[0].strip(),
        charset=stated[1] if stated else "",
        filename=unfolded(node.filename or ""),
        disposition=(node.disposition or "").lower(),
        content=node.content,
        children=tuple(_from_fast(child, depth + 1) for child in deeper),
        headers=headers,
    )


class _BoundedParameters(policy.Compat32):
    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:LONGEST_PARAMETERS] if name.lower().startswith("content-") else value


def _from_standard(raw: bytes) -> Part:
    try:
        return _from_message(email.message_from_bytes(raw, policy=_BoundedParameters()), depth=0)
    except (
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        AssertionError,
        IndexError,
        RecursionError,
    ) as error:
        raise UnreadableMailError(type(error).__name__) from None


def _from_message(message: Message, depth: int) -> Part:
    headers: dict[str, list[str]] = {}
    for name, value in message.items():
        headers.setdefault(name.lower(), []).append(unfolded(str(value)))
    payload = message.get_payload(decode=True)
    inner = message.get_payload()
    children = [child for child in inner if isinstance(child, Message)] if isinstance(inner, list) else []
    stated = _CHARSET.search((headers.get("content-type") or [""])[0])
    embedded = message.get_content_type() == "message/rfc822" and children
    return Part(
        content_type=message.get_content_type(),
        charset=stated[1] if stated else "",
        filename=unfolded(message.get_filename() or ""),
        disposition=(message.get_content_disposition() or "").lower(),
        content=children[0].as_bytes() if embedded else payload if isinstance(payload, bytes) else None,
        children=tuple(_from_message(child, depth + 1) for child in children) if depth < DEEPEST else (),
        headers=headers,
    )
