"""Text that was left encoded: base64, encoded words, quoted-printable. What can be decoded is no redaction.

Bounces, exports of raw mail and broken parts hold such pieces in the middle of ordinary text, and links
carry addresses in base64. A piece that decodes to text is replaced by it; anything else stays as it is.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]{1,20})?\?([bBqQ])\?([^?\s]{0,2000})(?:\?=)?")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s[\s>]*(?==\?[\w.:*-]{1,62}\?[bBqQ]\?)")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}(?:\n[A-Za-z0-9+/_-]+(?=[=\n]|$))*")
_SEGMENT = re.compile(r"[A-Za-z0-9+_-]{20,}")
_PADDING = re.compile(r"={0,2}")
_URLSAFE = str.maketrans("-_\n", "+/=", "\n")
_LOOKED_AT = 48  # signs that say whether it is worth decoding the rest
_DEEPEST = 3  # base64 within base64
_UU = re.compile(r"^begin [0-7]{3,4} [^\n]{0,200}\n((?:[ -`]{1,62}\n)+)\n?end$", re.MULTILINE)

_MAYBE_QUOTED = re.compile(r"=(?:\n|[0-9A-F]{2}=| +\n)")
_BETWEEN_PARAGRAPHS = re.compile(r"(\n(?<!=\n)[ \t>]*\n)")
_SOFT_BREAK = re.compile(r"=(?<!==)[ \t]*\n(?:> ?)*")
_SOFT_BREAK_IN_WORD = re.compile(r"=(?<=[^\s=]=)[ \t]*\n")
_UTF_8 = (
    r"=(?:C[2-9A-F]|D[0-9A-F])=[89AB][0-9A-F]|=E[0-9A-F](?:=[89AB][0-9A-F]){2}|=F[0-4](?:=[89AB][0-9A-F]){3}"
)
_SURELY_QUOTED = re.compile(rf"(?:=[0-9A-F]{{2}}){{4,}}|(?:{_UTF_8})+")
_LATIN_LETTER = re.compile(r"=[C-F][0-9A-F](?=[a-z])")
_QUOTED_SIGN = re.compile(r"=20=?(?=\n|$)|=3D(?:=?(?=\n|$)|[\"'])")
_QUOTED = re.compile(r"(?:=(?:[0-9A-F]{2}|(?<!==)[ \t]*\n))+")
_QUOTED_IN_REPLY = re.compile(r"(?:=(?:[0-9A-F]{2}|(?<!==)[ \t]*\n(?:> ?)*))+")
_FULL_LINE = range(73, 81)  # quoted-printable breaks lines of 76 signs, which may be quoted in a reply
_LONG_LINE = 40

_NOT_TEXT = re.compile(
    r"[^\t\n\r\x20-\x7e\u00a0-\u024f\u02b0-\u1fff\u200b-\u2027\u202f-\u2064\u2070-\u2bff\u2e80-\ud7ff"
    r"\uf900-\ufdff\ufe0e\ufe0f\ufe20-\uffee\U0001f000-\U0001faff]"
)
_NOT_WESTERN = re.compile(r"[^\t\n\r\x20-\x7eÀ-ÖØ-öø-ÿŠšŽžŒœŸ€„“”‚‘’–—…«»ßª°]")
_PLAIN = re.compile(r"[A-Za-z .,@\n]")
_MARKED = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode_all(text: str, *, deepest: int = _DEEPEST) -> str:
    """Return text with every encoded piece that hides text decoded in its place; in linear time.

    What base64 hides may be encoded again, ``deepest`` times in all.
    """
    if "=?" in text:
        text = decode_words(text)
    if _MAYBE_QUOTED.search(text):
        text = "".join(map(_unquoted, _BETWEEN_PARAGRAPHS.split(text)))
    if "\nend" in text and "begin " in text:
        text = _UU.sub(_from_uu, text)
    return _decode_base64(text, deepest)


def decode_words(text: str) -> str:
    """Return text with its encoded words decoded, as far as each goes: also one that breaks off.

    Blanks between two of them are none of the text (RFC 2047, 6.2).
    """
    return _WORD.sub(_from_word, _BETWEEN_WORDS.sub("", text))


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


def _unquoted(paragraph: str) -> str:
    """Return the text that quoted-printable stands for, where it is beyond doubt that it is that.

    "width=40" and "password=" at the end of a line are in every program: what ordinary text never has
    is decoded by itself, and the whole paragraph only if line breaks and letters both look like it.
    """
    if not _is_quoted_printable(paragraph):
        return _SURELY_QUOTED.sub(_from_quoted, paragraph)
    in_reply = paragraph.lstrip("\n").startswith(">")
    return (_QUOTED_IN_REPLY if in_reply else _QUOTED).sub(_from_quoted, paragraph)


def _is_quoted_printable(paragraph: str) -> bool:
    if not _SOFT_BREAK.search(paragraph):
        return False
    if _SURELY_QUOTED.search(paragraph):
        return True
    lines = [
        paragraph[paragraph.rfind("\n", 0, end.start()) + 1 : end.start() + 1]
        for end in _SOFT_BREAK_IN_WORD.finditer(paragraph)
    ]
    if any(len(line) in _FULL_LINE and " " in line for line in lines):
        return True
    if lines and _LATIN_LETTER.search(paragraph):
        return True
    return any(len(line) > _LONG_LINE for line in lines) and _QUOTED_SIGN.search(paragraph) is not None


def _from_quoted(match: re.Match[str]) -> str:
    content = bytes.fromhex(_SOFT_BREAK.sub("", match[0]).replace("=", ""))
    for codec in ("utf-8", "cp1252"):
        try:
            return content.decode(codec)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _from_uu(match: re.Match[str]) -> str:
    try:
        content = b"".join(binascii.a2b_uu(line) for line in match[1].splitlines())
    except binascii.Error:
        return match[0]
    return _as_text(content) or match[0]


def _decode_base64(text: str, deepest: int) -> str:
    pieces: list[str] = []
    at = 0
    for match in _BASE64.finditer(text):
        for start, found in _texts_in(match):
            inner = decode_all(found.text, deepest=deepest - 1) if deepest > 1 else found.text
            pieces += [text[at:start], inner]
            at = start + found.length
            padding = _PADDING.match(text, at)
            at = padding.end() if padding else at
    return "".join([*pieces, text[at:]]) if pieces else text


def _texts_in(match: re.Match[str]) -> Iterator[tuple[int, _Decoded]]:
    """Yield what a run says and where: the whole of it, or its parts between slashes, as in a link."""
    if found := _text_of(match[0]):
        yield match.start(), found
    elif "/" in match[0]:
        for segment in _SEGMENT.finditer(match.string, *match.span()):
            if found := _text_of(segment[0]):
                yield segment.start(), found


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
    """Return what bytes say in UTF-8, UTF-16 or cp1252, or nothing where that is no text."""
    for mark, codec in _MARKED:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], codec)
    if b"\0" in content:  # any bytes say something in UTF-16, therefore one half of them has to be empty
        for codec, half in (("utf-16-le", content[1::2]), ("utf-16-be", content[::2])):
            if half.count(0) * 4 >= len(half) * 3:
                return _decoded(content, codec)
        return ""
    return _decoded(content, "utf-8") or _western(content)


def _decoded(content: bytes, codec: str) -> str:
    try:
        text = codecs.getincrementaldecoder(codec)().decode(content)  # it may end within a character
    except UnicodeDecodeError:
        return ""
    return "" if _NOT_TEXT.search(text) else text


def _western(content: bytes) -> str:
    """Return what bytes say in cp1252: any bytes say something, therefore three in four have to be plain."""
    text = content.decode("cp1252", "replace")
    is_text = len(_PLAIN.findall(text)) * 4 >= len(text) * 3 and not _NOT_WESTERN.search(text)
    return text if is_text else ""
