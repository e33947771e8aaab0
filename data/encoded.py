"""Text that was left encoded: base64, encoded words, quoted-printable. What can be decoded is no redaction.

Bounces, exports of raw mail and broken parts hold such pieces in the middle of ordinary text, and links
carry addresses in base64. A piece that decodes to text is replaced by it; anything else stays as it is.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]{1,20})?\?([bBqQ])\?([^?\s]{0,2000})(?:\?=)?")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}(?:\n[A-Za-z0-9+/_-]+(?=[=\n]|$))*")
_PADDING = re.compile(r"={0,2}")
_URLSAFE = str.maketrans("-_\n", "+/=", "\n")
_LOOKED_AT = 48  # signs that say whether it is worth decoding the rest
_SOFT_BREAK = "=\n"
_QUOTED = re.compile(r"=(?:[0-9A-F]{2}|[ \t]*\n)")
_SURELY_QUOTED = re.compile(r"=(?:3D|40|2E|C3|E2|20\n)|quoted-printable")
_UU = re.compile(r"^begin [0-7]{3,4} [^\n]{0,200}\n((?:[!-`]{1,61}\n)+)(?:[` ]?\n)?end$", re.MULTILINE)
_NOT_TEXT = re.compile(r"[^\t\n\r\x20-\x7e\u00a0-\u024f\u0370-\u1fff\u2010-\u2027\u20a0-\u20bf\u3040-\u9fff]")


def decode_all(text: str) -> str:
    """Return text with every encoded piece that hides text decoded in its place; in linear time."""
    if "=?" in text:
        text = decode_words(text)
    if _SOFT_BREAK in text or "quoted-printable" in text.lower():
        text = _unquoted(text)
    if "\nend" in text and "begin " in text:
        text = _UU.sub(_from_uu, text)
    return _decode_base64(text)


def decode_words(text: str) -> str:
    """Return text with its encoded words decoded, as far as each goes: also one that breaks off."""
    return _WORD.sub(_from_word, text)


def _from_word(match: re.Match[str]) -> str:
    charset, encoding, stated = match.groups()
    if encoding in "qQ":
        content = binascii.a2b_qp(stated.encode("utf-8", "replace"), header=True)
    else:
        content = _bytes_of(re.sub(r"[^A-Za-z0-9+/]", "", stated))
    for codec in (charset, "utf-8"):
        try:
            return content.decode(codec, "ignore") or match[0]
        except (LookupError, ValueError):
            continue
    return match[0]


def _unquoted(text: str) -> str:
    """Return the text that quoted-printable stands for, where it is beyond doubt that it is that."""
    if not _SURELY_QUOTED.search(text):
        return text
    pieces: list[str] = []
    at = 0
    for run in re.finditer(r"(?:=[0-9A-F]{2}|=[ \t]*\n)+", text):
        content = binascii.a2b_qp(run[0].encode())
        pieces += [text[at : run.start()], content.decode("utf-8", "replace")]
        at = run.end()
    return "".join([*pieces, text[at:]])


def _from_uu(match: re.Match[str]) -> str:
    try:
        content = b"".join(binascii.a2b_uu(line) for line in match[1].splitlines())
    except binascii.Error:
        return match[0]
    return _as_text(content) or match[0]


def _decode_base64(text: str) -> str:
    pieces: list[str] = []
    at = 0
    for match in _BASE64.finditer(text):
        if found := _text_of(match[0]):
            pieces += [text[at : match.start()], found.text]
            at = match.start() + found.length
            padding = _PADDING.match(text, at)
            at = padding.end() if padding else at
    return "".join([*pieces, text[at:]]) if pieces else text


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What a run of base64 says, and how many of its signs say it."""

    text: str
    length: int


def _text_of(run: str) -> _Decoded | None:
    """Decode a run of lines; the last of them, or all but the first, may be words that only look alike."""
    if not _as_text(_bytes_of(run[:_LOOKED_AT].partition("\n")[0])):
        return None
    first, last = run.find("\n"), run.rfind("\n")
    for end in dict.fromkeys([len(run), last, first]):
        if end > 0 and (text := _as_text(_bytes_of(run[:end]))):
            return _Decoded(text, end)
    return None


def _bytes_of(run: str) -> bytes:
    """Decode base64 as far as it goes: what breaks off in the middle of a sign is left out."""
    plain = run.replace("\n", "").translate(_URLSAFE)
    whole = plain[: len(plain) - (len(plain) % 4 == 1)]
    try:
        return binascii.a2b_base64(whole + "=" * (-len(whole) % 4))
    except binascii.Error:
        return b""


def _as_text(content: bytes) -> str:
    """Return what bytes say in UTF-8 or UTF-16, or nothing where that is no text."""
    if b"\0" in content and not any(content[1::2]):
        content = content[::2]
    for dropped in range(4):  # a piece may end within a character
        try:
            text = content[: len(content) - dropped].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return "" if _NOT_TEXT.search(text) else text
    return ""
