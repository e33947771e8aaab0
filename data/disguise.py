"""Undo what hides personal data from patterns: foreign digits, odd dashes, invisible signs, escapes."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

UNSEEN = (
    "\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u2800"
)
"""Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt of 16.0), and braille without a dot.

Only what is searched goes without them: joiners, variation selectors and fillers belong to how scripts and
emoji are written, and stay in the text.
"""

GAPS = "\u115f\u1160\u2800\u3164\uffa0"
"""Those of them that leave a gap where they stand, as a space does."""

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63"
SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
QUOTES = "\u2018\u2019\u02bc"
ZEROS = (0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0,
         0xF20, 0x1040, 0x17E0, 0x1810, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6)  # fmt: skip

SAME_LENGTH: dict[int, str] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    0xFE6B: "@",
    **{ord(dash): "-" for dash in DASHES},
    **{ord(space): " " for space in SPACES},
    **{ord(quote): "'" for quote in QUOTES},
    **{zero + digit: str(digit) for zero in ZEROS for digit in range(10)},
}
DISGUISED = frozenset(map(chr, SAME_LENGTH))
NOT_ASCII = re.compile(r"[^\0-\x7f]+")
INVISIBLE = re.compile(f"[{UNSEEN}]+")
# as links, JSON, HTML and quoted-printable write what they escape; brackets stay, they mark placeholders
ESCAPED = re.compile(
    r"%(?:25){0,3}([2-7][0-9A-Fa-f])|\\u00([2-7][0-9A-Fa-f])|&#[xX]([2-7][0-9A-Fa-f]);|&#(\d{2,3});"
    r"|=(?<=[\w.+-]=)(40)(?=[^\W_])|=(?<=[\w.@+-]=)\n(?:> ?){0,8}(?=[\w.@-])"
)

STOPS = "\u3002\ufe52\uff61"
WHOLE_DOMAIN = r"@(?:[^\W_][\w-]{0,62}\.){1,8}[^\W\d_]{2,24}"
STOP = re.compile(rf"({WHOLE_DOMAIN})?(?<=[^\W_])[{STOPS}](?=[0-9A-Za-z])")
"""A full stop of Chinese or Japanese where a dot may stand; behind a whole address it ends a sentence."""

HOST = r"(?:[^\W_](?:[\w-]|=\n(?:> ?){0,8}){0,62}\.){1,8}"
QUOTED_DOMAIN = re.compile(
    rf"(?!x[0-9]|(?:px|r?em|pt|[mc]m|m?s|[kmg]b|[kmhdx])\b){HOST}([a-z]{{2,24}}|[A-Z]{{2,24}})(?![A-Za-z])"
)
FILE_SUFFIX = re.compile(
    r"(?:png|jpe?g|gif|svg|webp|bmp|ico|html?|php|aspx?|jsp?|css|pdf|txt)", re.IGNORECASE
)
NAME_BACKWARDS = re.compile(r"[\w.+-]{1,64}")
LEFT_BACKWARDS = re.compile(r"[\w.@+=-]{1,128}")
RIGHT = re.compile(r"[\w.@-]{1,128}")
BROKEN_ADDRESS = re.compile(r"[\w.+-]{1,64}(?:@|=40)(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}")
LONG_LINE = 60  # quoted-printable breaks lines of 76 signs; "to=" at the end of a short one is a setting


@dataclass(frozen=True, slots=True)
class Undisguised:
    """A text without disguises, and the way back to the places in the original."""

    text: str
    kept_from: tuple[int, ...] = (0,)
    shifts: tuple[int, ...] = (0,)
    widths: Mapping[int, int] = field(default_factory=dict)
    """How many characters of the original one stands for, where it is not one."""

    @property
    def shifted(self) -> bool:
        """Whether anything stands elsewhere in the original."""
        return self.shifts != (0,)

    def original(self, position: int) -> int:
        """Return where the character at ``position`` stands in the original text."""
        return position + self.shifts[bisect_right(self.kept_from, position) - 1]

    def original_end(self, end: int) -> int:
        """Return where a span that ends before ``end`` ends in the original text."""
        return self.original(end - 1) + self.widths.get(end - 1, 1) if end else 0


def undisguise(text: str) -> Undisguised:
    """Return ``text`` as patterns should see it.

    Everything but escapes and the invisible characters keeps its length, so that offsets change
    only behind one of those.
    """
    is_escaped = _may_be_escaped(text)
    if text.isascii():
        return _shortened(text, _escapes(text)) if is_escaped else Undisguised(text)
    foreign = set("".join(NOT_ASCII.findall(text)))
    seen = _without_unseen(text, foreign, is_escaped=is_escaped)
    if foreign.isdisjoint(STOPS):
        return seen
    return replace(seen, text=STOP.sub(lambda match: match[0] if match[1] else ".", seen.text))


def readings(text: str) -> Iterator[Undisguised]:
    """Yield ``text`` as patterns should see it, and again with the signs that leave a gap as spaces."""
    yield undisguise(text)
    if not text.isascii() and any(gap in text for gap in GAPS):
        yield undisguise(text.translate(dict.fromkeys(map(ord, GAPS), " ")))


def _without_unseen(text: str, foreign: Collection[str], *, is_escaped: bool) -> Undisguised:
    if not DISGUISED.isdisjoint(foreign):
        text = NOT_ASCII.sub(lambda match: match[0].translate(SAME_LENGTH), text)
    has_invisible = any(map(INVISIBLE.match, foreign))
    if not has_invisible and not is_escaped:
        return Undisguised(text)
    invisible = ((match, "") for match in INVISIBLE.finditer(text)) if has_invisible else ()
    escapes = _escapes(text) if is_escaped else ()
    return _shortened(text, sorted([*invisible, *escapes], key=lambda each: each[0].start()))


def _may_be_escaped(text: str) -> bool:
    """Return whether an escape may stand there: one sign is sought much faster than two."""
    return (
        "%" in text
        or ("=" in text and ("=40" in text or "=\n" in text))
        or ("&" in text and "&#" in text)
        or ("\\" in text and "\\u00" in text)
    )


def _escapes(text: str) -> Iterator[tuple[re.Match[str], str]]:
    for match in ESCAPED.finditer(text):
        if match[0][0] == "=":
            if match[5] and _is_quoted_at(text, match):
                yield match, "@"
            elif not match[5] and _breaks_an_address(text, match):
                yield match, ""
            continue
        sign = chr(int(match[4])) if match[4] else chr(int(match[match.lastindex or 0], 16))
        if " " <= sign <= "~" and sign not in "[]":
            yield match, sign


def _is_quoted_at(text: str, match: re.Match[str]) -> bool:
    """Return whether "=40" makes an address of what surrounds it, and no setting or parameter of a link."""
    before = text[max(0, match.start() - 65) : match.start()][::-1]
    name = NAME_BACKWARDS.match(before)
    domain = QUOTED_DOMAIN.match(text, match.end())
    if name is None or domain is None or FILE_SUFFIX.fullmatch(domain[1]):
        return False
    return before[name.end() : name.end() + 1] not in ("?", "&", ";")


def _breaks_an_address(text: str, match: re.Match[str]) -> bool:
    """Return whether the soft line break stands within an address that is none without its other half."""
    left = LEFT_BACKWARDS.match(text[max(0, match.start() - 128) : match.start()][::-1])
    right = RIGHT.match(text, match.end())
    if left is None or right is None:
        return False
    before, after = left[0][::-1], right[0]
    address = next(
        (each for each in BROKEN_ADDRESS.finditer(before + after) if each.end() > len(before)), None
    )
    if address is None or address.start() >= len(before):
        return False
    begun = before[address.start() :]
    if "@" in begun or "=40" in begun:
        return after[0] in ".-" or not BROKEN_ADDRESS.fullmatch(begun)
    line = text[max(0, match.start() - LONG_LINE) : match.start()]
    return after[0] == "@" or ("\n" not in line and len(line) == LONG_LINE)


def _shortened(text: str, shorter: Iterable[tuple[re.Match[str], str]]) -> Undisguised:
    """Return ``text`` with every match replaced by one character or by none."""
    pieces: list[str] = []
    kept_from, shifts, widths = [0], [0], dict[int, int]()
    length = cursor = 0
    for match, sign in shorter:
        pieces += [text[cursor : match.start()], sign]
        length += match.start() - cursor
        if sign:
            widths[length] = len(match[0])
            length += 1
        cursor = match.end()
        if kept_from[-1] == length:  # nothing was kept since the last shift
            kept_from.pop()
            shifts.pop()
        kept_from.append(length)
        shifts.append(cursor - length)
    pieces.append(text[cursor:])
    return Undisguised("".join(pieces), tuple(kept_from), tuple(shifts), widths)
