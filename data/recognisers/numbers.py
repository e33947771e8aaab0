"""Numbers that prove themselves: payment cards (Luhn), IBANs (mod 97), social security numbers (rules)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.recognisers.found import Found, Introduction
from data.recognisers.shape import form_places
from data.recognisers.surroundings import Surroundings

CLUSTER = re.compile(r"[0-9](?:[ ().\-/]{0,3}[0-9]){5,}")
"""Six digits or more and what separates them: social security numbers and phones hide here."""

BROKEN_CLUSTER = re.compile(r"[0-9](?<![0-9][0-9])(?:[ ().\-/]{0,3}(?:\n(?:> ?){0,3})?[0-9]){5,}")
"""The same across lines: cards hide here. It begins with the first of the digits that stand together."""

BLANK = r"(?: {1,2}| ?\n(?:> ?){0,3})"
CARD_SHAPES = re.compile(
    r"(?<![0-9])(?=("
    r"[0-9]{12,19}"
    + "".join(
        rf"|[0-9]{{4}}{gap}[0-9]{{4}}{gap}[0-9]{{4}}{gap}[0-9]{{1,4}}(?:{gap}[0-9]{{1,3}}(?![0-9]))?"
        rf"|[0-9]{{4}}{gap}[0-9]{{6}}{gap}[0-9]{{4,5}}"
        for gap in (BLANK, "-", r"\.")
    )
    + r")(?![0-9]))"
)
FIFTH_GROUP = re.compile(r"((?:[0-9]+[^0-9]+){3}[0-9]+)[^0-9]+[0-9]+")
CARD_BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"  # American Express, Diners
    r"|(?:6011|64[4-9]\d|65\d{2})\d{12,15}|62\d{14,17}"  # Discover, UnionPay
    r"|35(?:2[89]|[3-8]\d)\d{12,15}|(?:2131|1800)\d{11}"  # JCB
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3]|0604)\d{8,15}"  # Maestro
)
CARD_CONTEXT = re.compile(
    r"\b(?:card|cc|credit|debit|visa|mastercard|amex|maestro|karte|kreditkarte|carte)\b", re.IGNORECASE
)

CONTEXT_REACH = 40

SSN = re.compile(r"(?<![0-9])([0-9]{3})([ -])([0-9]{2})\2([0-9]{4})(?![0-9])")
SSN_WORDS = re.compile(r"\bssn\b|social security", re.IGNORECASE)

IBAN_FORM = b"aa00"
IBAN_REST = re.compile(r"[ -]?[A-Za-z0-9]{4}")
IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HU LB NI PL SV", "29": "BR EG PS QA UA",
        "30": "JO KW MU YE", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


def cards(text: str, start: int, end: int, around: Surroundings) -> Iterator[Found]:
    """Yield the payment cards of a cluster: right length for the brand, right check digit.

    A number of no known brand counts when the words before it speak of a card.
    """
    for shape in CARD_SHAPES.finditer(text, start, end):
        begin = shape.start(1)
        for written in _with_and_without_fifth_group(shape[1]):
            digits = re.sub(r"[^0-9]", "", written)
            if not passes_luhn(digits):
                continue
            branded = CARD_BRANDS.fullmatch(digits) and not text[begin - 1 : begin].isalnum()
            if branded or CARD_CONTEXT.search(around.before(begin, CONTEXT_REACH)):
                yield Found("CARD", begin, begin + len(written), digits)
                break


def _with_and_without_fifth_group(shape: str) -> Iterator[str]:
    """Yield what may be a card: its fifth group may be its expiry, its code or what the text goes on with.

    A card breaks over two lines at most: a column of numbers is none.
    """
    fifth = FIFTH_GROUP.fullmatch(shape)
    for written in (shape, fifth[1]) if fifth else (shape,):
        if written.count("\n") <= 1:
            yield written


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the Luhn check digit of the others."""
    doubled = digits[-2::-2].translate(LUHN_DOUBLED)
    total = sum(map(int, digits[-1::-2])) + sum(map(int, doubled))
    return total % 10 == 0 and digits.strip("0") != ""


LUHN_DOUBLED = str.maketrans("0123456789", "0246813579")


def social_security_numbers(text: str, start: int, end: int, around: Surroundings) -> Iterator[Found]:
    """Yield United States social security numbers that may have been issued."""
    for match in SSN.finditer(text, start, end):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if before.isalnum() or after.isalnum() or before in ("-", "/", "+") or after in ("-", "/"):
            continue
        said = match[2] == "-" or SSN_WORDS.search(around.before(match.start(), CONTEXT_REACH))
        if said and may_be_issued(match[1] + match[3] + match[4]):
            yield Found("SSN", match.start(), match.end(), match[1] + match[3] + match[4])


def may_be_issued(digits: str) -> bool:
    """Return whether the Social Security Administration may have issued the number."""
    area = digits[:3]
    return area not in ("000", "666") and area < "900" and digits[3:5] != "00" and digits[5:] != "0000"


UNDASHED_SSN = Introduction(
    "SSN",
    ("ssn", "social security"),
    re.compile(r"(?:ssn|social security(?: (?:number|no|num|#))?)\W{0,3}(?:is|:)?\W{0,3}([0-9]{9})(?![0-9])"),
    lambda digits: digits if may_be_issued(digits) else "",
)


def ibans(text: str, shape: bytes) -> Iterator[Found]:
    """Yield international bank account numbers of the right length whose remainder is 1."""
    for start in form_places(IBAN_FORM, shape):
        length = IBAN_LENGTHS.get(text[start : start + 2].upper())
        if (
            length is None
            or text[start - 1 : start].isalnum()
            or not IBAN_REST.match(text, start + len(IBAN_FORM))
        ):
            continue
        end = _end_of_characters(text, start, length)
        value = re.sub(r"[ -]", "", text[start:end]).upper()
        if end and not text[end : end + 1].isalnum() and has_remainder_one(value):
            yield Found("IBAN", start, end, value.lower())


def has_remainder_one(iban: str) -> bool:
    """Return whether the check digits of an IBAN are right (ISO 7064, mod 97-10)."""
    moved = iban[4:] + iban[:4]
    return (
        moved.isascii() and moved.isalnum() and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1
    )


def _end_of_characters(text: str, start: int, count: int) -> int:
    """Return where ``count`` letters and digits end, single spaces or dashes between them, or 0."""
    position, separated = start, True
    while count and position < len(text):
        if text[position].isalnum():
            count, separated = count - 1, False
        elif separated or text[position] not in " -":
            return 0
        else:
            separated = True
        position += 1
    return 0 if count else position
