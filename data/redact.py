"""Personal data out, typed pseudonyms in: before anything is written, logged or learnt."""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from data.disguise import undisguise
from data.recognisers import recognise
from data.recognisers.found import KINDS, Found, canonical

PLACEHOLDER = re.compile(rf"\[({'|'.join(KINDS)})_[0-9a-f]{{8}}\]")
MODEL_WORDS = {
    "EMAIL": "email", "PHONE": "phone", "CARD": "card", "IBAN": "bank", "SSN": "social", "IP": "ip",
    "MAC": "device", "URL": "link", "ACCOUNT": "account", "PASSPORT": "passport", "DOB": "birthday",
    "PERSON": "person", "CRYPTO": "wallet", "SECRET": "password", "ADDRESS": "address",
}  # fmt: skip
MASK = "\0"
PASSES = 4


@dataclass(frozen=True, slots=True)
class Span:
    """Where personal data of one kind stood in the input."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text with placeholders, and what they replaced."""

    text: str
    spans: tuple[Span, ...]


def pseudonym(kind: str, value: str, *, key: bytes) -> str:
    """Return the placeholder of a value: the same for every writing of it under the same key."""
    return _placeholder(kind, canonical(kind, value), key)


def redact(text: str, *, key: bytes, names: Collection[str] = ()) -> Redaction:
    """Replace every recognised piece of personal data by its placeholder.

    ``names`` are the people known to occur (from headers, an address book); they are found
    case-sensitively, whole and by their parts. Placeholders already there stay as they are,
    and a second redaction changes nothing: a find may uncover another one that it had
    overlapped, therefore the search repeats until it finds nothing.
    """
    spans: list[Span] = []
    pieces = [_Piece(text, 0)]
    for _ in range(PASSES):
        current = "".join(piece.text for piece in pieces)
        found = _find(current, names)
        if not found:
            break
        pieces, spans = _replace(pieces, found, spans, key)
    return Redaction(
        "".join(piece.text for piece in pieces), tuple(sorted(spans, key=lambda span: span.start))
    )
