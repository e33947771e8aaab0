"""The words before a number, which reach equally far whatever other personal data stands among them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from data.recognisers.found import Found

MASK = "\0"
MASKS = re.compile(r"\0+")

LABEL = re.compile(
    r"\b(?:t[eé]l(?:[eé]phone|efon)?|phone|fax|mobile?|cell|handy|durchwahl|portable|hotline|pager|whatsapp|sms"
    r"|desk|office|direct|home|work|call|number|nummer|card|cc|credit|debit|visa|amex|karte|ssn|nhs|sin|bsn)\b",
    re.IGNORECASE,
)
"""What a name may seem to end with, in front of a number: "Anna Schmidt Tel 5551234"."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A text in which every e-mail address, name and placeholder counts as one sign."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, text: str, found: Iterable[Found]) -> Surroundings:
        """Return the surroundings of what is still to be found; ``found`` may overlap."""
        spans = [
            (item.start, item.end)
            for item in found
            if item.kind == "EMAIL"
            or (item.kind == "PERSON" and not LABEL.search(text, item.start, item.end))
        ]
        if MASK in text:
            spans += [match.span() for match in MASKS.finditer(text)]
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(spans):
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        return cls(text, tuple(starts), tuple(ends))

    def before(self, position: int, reach: int) -> str:
        """Return the last ``reach`` signs before ``position``."""
        pieces: list[str] = []
        nearest = bisect_right(self.ends, position) - 1
        while reach > 0 and nearest >= 0 and self.ends[nearest] > position - reach:
            pieces += [self.text[self.ends[nearest] : position], MASK]
            reach -= position - self.ends[nearest] + 1
            position = self.starts[nearest]
            nearest -= 1
        return "".join([self.text[max(0, position - reach) : position], *reversed(pieces)])
