"""What a recogniser reports, and the one spelling of a value that its pseudonym is made of."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from data.disguise import undisguise

KINDS = (
    "URL", "CARD", "IBAN", "SSN", "NATIONAL_ID", "MAC", "IP", "CRYPTO", "EMAIL", "DOB", "PASSPORT", "ACCOUNT",
    "SECRET", "PHONE", "ADDRESS", "PERSON", "DOMAIN",
)  # fmt: skip
"""The most specific first: of two finds in the same place, the earlier kind holds. DOMAIN is found in no
text: it is where a sender's address lies, so that messages can be told apart by it."""

NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
EXTENSION = re.compile(r" ?(?:x|ext\.?|extension|Durchwahl|App\.|poste) ?(\d{1,6})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of personal data: its place in the undisguised text and its canonical value."""

    kind: str
    start: int
    end: int
    value: str


@dataclass(frozen=True, slots=True)
class Introduction:
    """A value that only the words before it make personal, like an account number."""

    kind: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]
    """Begins with one of ``words`` in lower case; its first group is the value."""
    accept: Callable[[str], str]
    """Returns the value without what does not belong to it, or nothing if it is none."""
    rest: re.Pattern[str] | None = None
    """What belongs to an accepted value behind the longest that ``pattern`` takes."""


def lowered(text: str) -> str:
    """Return ``text`` in lower case, every character still at its place ("İ" would become two)."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)


def canonical(kind: str, value: str) -> str:
    """Return the spelling that all writings of the same entity share, so that they share a pseudonym."""
    text = undisguise(value).text.strip()
    if kind in ("EMAIL", "DOMAIN", "URL"):
        return text if kind == "URL" else text.casefold()
    if kind == "PHONE":
        return canonical_phone(text)
    if kind == "PERSON":
        return canonical_name(text)
    if kind == "IP":
        return str(ipaddress.ip_address(text)) if _is_ip(text) else text.casefold()
    if kind in ("CARD", "SSN", "NATIONAL_ID", "IBAN", "MAC", "ACCOUNT", "PASSPORT", "DOB", "ADDRESS"):
        return NOT_ALPHANUMERIC.sub("", text).casefold()
    return text.lower() if text[:2] == "0x" or text[:3].lower() == "bc1" else text


def canonical_phone(text: str) -> str:
    """Return the national significant number: the same with and without a country code or trunk zero."""
    from phonenumbers import NumberParseException, parse

    extension = EXTENSION.search(text)
    number = text[: extension.start()] if extension else text
    digits = re.sub(r"\D", "", number.replace("(0)", ""))
    if number.lstrip(" (").startswith("+") or digits.startswith("00"):
        with suppress(NumberParseException):
            digits = str(parse("+" + digits.lstrip("0")).national_number)
    elif len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    return digits.lstrip("0") + (f"x{extension[1]}" if extension else "")


def canonical_name(text: str) -> str:
    """Return "anna schmidt" for "Anna Schmidt", "SCHMIDT, Anna" and "Anna  Schmidt"."""
    family, comma, given = text.partition(",")
    ordered = f"{given} {family}" if comma and "," not in given else text
    return " ".join(ordered.casefold().split())


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
