"""Undo what hides personal data from patterns: full-width and foreign digits, odd dashes, invisible signs."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

ZERO_WIDTH = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63"
SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
QUOTES = "\u2018\u2019\u02bc"
ZEROS = (0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0,
         0xF20, 0x1040, 0x17E0, 0x1810, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6)  # fmt: skip

SAME_LENGTH: dict[int, str] = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **{ord(dash): "-" for dash in DASHES},
    **{ord(space): " " for space in SPACES},
    **{ord(quote): "'" for quote in QUOTES},
    **{zero + digit: str(digit) for zero in ZEROS for digit in range(10)},
}
DISGUISED = frozenset(map(chr, SAME_LENGTH))
NOT_ASCII = re.compile(r"[^\0-\x7f]+")
INVISIBLE = re.compile(f"[{ZERO_WIDTH}]+")


@dataclass(frozen=True, slots=True)
class Undisguised:
    """A text without disguises, and the way back to the places in the original."""

    text: str
    kept_from: tuple[int, ...] = (0,)
    shifts: tuple[int, ...] = (0,)

    @property
    def shifted(self) -> bool:
        """Whether anything stands elsewhere in the original."""
        return self.shifts != (0,)

    def original(self, position: int) -> int:
        """Return where the character at ``position`` stands in the original text."""
        return position + self.shifts[bisect_right(self.kept_from, position) - 1]

    def original_end(self, end: int) -> int:
        """Return where a span that ends before ``end`` ends in the original text."""
        return self.original(end - 1) + 1 if end else 0


def undisguise(text: str) -> Undisguised:
    """Return ``text`` as patterns should see it.

    Everything but the invisible characters keeps its length, so that offsets change only
    behind one of those.
    """
    if text.isascii():
        return Undisguised(text)
    foreign = set("".join(NOT_ASCII.findall(text)))
    if not foreign.isdisjoint(DISGUISED):
        text = NOT_ASCII.sub(lambda match: match[0].translate(SAME_LENGTH), text)
    if not any(map(INVISIBLE.match, foreign)):
        return Undisguised(text)
    pieces: list[str] = []
    kept_from, shifts = [0], [0]
    length = cursor = 0
    for match in INVISIBLE.finditer(text):
        pieces.append(text[cursor : match.start()])
        length += match.start() - cursor
        cursor = match.end()
        if kept_from[-1] == length:  # nothing was kept since the last shift
            kept_from.pop()
            shifts.pop()
        kept_from.append(length)
        shifts.append(cursor - length)
    pieces.append(text[cursor:])
    return Undisguised("".join(pieces), tuple(kept_from), tuple(shifts))
