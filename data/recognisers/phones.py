"""Telephone numbers: international ones by form, national ones by validity, others by the words around."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from data.recognisers.found import Found, canonical_phone
from data.recognisers.surroundings import Surroundings

REGIONS = (
    "US",
    "GB",
    "DE",
    "FR",
    "CH",
    "AT",
    "IT",
    "ES",
    "NL",
    "BE",
    "IE",
    "LU",
    "SE",
    "DK",
    "NO",
    "PL",
    "AU",
)
"""Where a number with a trunk zero is tried, in this order."""

BREAK = re.compile(r" {2,}|\.{2,}|-{2,}|/{2,}|\. | / ")
DIGIT_GROUP = re.compile(r"[0-9]+")
EXTENSION = re.compile(r" ?(?:x|ext\.?|extension|Durchwahl|App\.|poste) ?[0-9]{1,6}\b", re.IGNORECASE)
NORTH_AMERICAN = re.compile(
    r"(?<![0-9])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9])"
)
NORTH_AMERICAN_SPACED = re.compile(r"(?:1 )?[2-9][0-9]{2} [2-9][0-9]{2} [0-9]{4}")
DATE = re.compile(
    r"(?:(?:19|20)[0-9]{2}[-/. ][01]?[0-9][-/. ][0-3]?[0-9]"
    r"|[0-3]?[0-9][-/.][0-3]?[0-9][-/.](?:19|20)?[0-9]{2}"
    r"|(?:19|20)[0-9]{2} ?[-/ ] ?(?:19|20)[0-9]{2})(?![0-9]|[./-][0-9])"
)
AMOUNT = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+|[1-9][0-9]{0,2}(?: [0-9]{3})+|[0-9]+\.[0-9]+")
FOUR_NUMBERS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
STRONG_CONTEXT = re.compile(
    r"(?:\b(?:tele)?phones?(?: number)?|\btele?fon|\bt[eé]l\b|\bfax|\bmobile?\b|\bcell(?:phone)?\b"
    r"|\bhandy|\bdurchwahl|\bt[eé]l[eé]phone|\bt[eé]l[eé]copie|\bportable|\bhotline|\bpager|\brufnummer|\bwhatsapp|\bsms\b"
    r"|\b(?:desk|office|direct|home|work|[TMPFDH]) ?:)[^0-9\n]{0,24}$",
    re.IGNORECASE,
)
WEAK_CONTEXT = re.compile(
    r"\b(?:call(?:ed|ing)?|reach(?:ed)?|ring|dial|contact|text(?:ed)?|answer(?:ing)?"
    r"|(?:my|your|his|her|new) number|nummer|num[eé]ro|rufen|anrufen|appele[rz]|joindre|erreichbar|joignable)"
    r"\b[^0-9\n]{0,16}$",
    re.IGNORECASE,
)
UNBROKEN_BACKWARDS = re.compile(r"\n?[^0-9\n]*")
CONTEXT_AFTER = re.compile(
    r"[ \-,(|]{0,3}(?:fax|mobile?|office|phone|tel|cell|home|work|desk|direct)\b", re.IGNORECASE
)
CONTEXT_REACH = 48
GOES_ON = ("_", "%", "€", "$", "@", "\0")
NOT_A_PHONE_BEFORE = frozenset("$€£¥#%=_&@-/*+'\0")


def phones(text: str, start: int, end: int, around: Surroundings) -> Iterator[Found]:
    """Yield the telephone numbers of a cluster of digits and separators."""
    begin = start
    for gap in [*BREAK.finditer(text, start, end), None]:
        finish = gap.start() if gap else end
        yield from _phone(text, begin, finish, around)
        begin = gap.end() if gap else end


def _phone(text: str, start: int, end: int, around: Surroundings) -> Iterator[Found]:
    groups = list(DIGIT_GROUP.finditer(text, start, min(end, start + 80)))
    if not groups:
        return
    start = _with_prefix(text, groups[0].start())
    digits = "".join(group[0] for group in groups)
    if text[start] == "+" or text[start : start + 2] == "(+" or digits.startswith("00"):
        international = _international(text, start, groups)
        if international:
            yield international
            return
    if 6 <= len(digits) <= 15 and _is_national(around, start, groups[-1].end(), digits):
        yield _found(text, start, groups[-1].end())
    elif len(digits) > 10:
        for match in NORTH_AMERICAN.finditer(text, start, end):
            if not DATE.match(text, match.start()):
                yield _found(text, match.start(), match.end())


def _with_prefix(text: str, start: int) -> int:
    """Return where the number begins: its plus sign and its closed parenthesis belong to it."""
    if text[start - 1 : start] == "(" and ")" in text[start : start + 8]:
        start -= 1
    if text[start - 1 : start] == "+":
        start -= 1
        if text[start - 1 : start] == "(" and ")" in text[start : start + 6]:
            start -= 1
    return start


def _international(text: str, start: int, groups: list[re.Match[str]]) -> Found | None:
    """Return the longest run of groups that may be a number under its country code."""
    if text[start - 1 : start].isalnum():
        return None
    for last in range(len(groups), 0, -1):
        digits = "".join(group[0] for group in groups[:last])
        end = groups[last - 1].end()
        if 7 <= len(digits) <= 17 and _is_international(
            digits.lstrip("0"), strict="+" not in text[start:end]
        ):
            return _found(text, start, end)
    return None


def _found(text: str, start: int, end: int) -> Found:
    extension = EXTENSION.match(text, end)
    end = extension.end() if extension else end
    return Found("PHONE", start, end, canonical_phone(text[start:end]))


def _is_national(around: Surroundings, start: int, end: int, digits: str) -> bool:
    """Return whether digits without a country code are a phone: by the words around or by form."""
    text = around.text
    written, before = text[start:end], text[start - 1 : start]
    decimal = before in (",", ".") and text[start - 2 : start - 1].isdigit()
    if decimal or before.isalnum() or before in NOT_A_PHONE_BEFORE or _continues(text, end):
        return False
    if FOUR_NUMBERS.fullmatch(written) or DATE.match(written):
        return False
    context = _since_break(around.before(start, CONTEXT_REACH))
    extension = EXTENSION.match(text, end)
    if STRONG_CONTEXT.search(context) or CONTEXT_AFTER.match(text, extension.end() if extension else end):
        return True
    if not written.isdigit() and not written.endswith("000") and WEAK_CONTEXT.search(context):
        return True
    return _has_national_form(written, digits)


def _since_break(context: str) -> str:
    """Return the end of the context where words may stand: from its last digit or line break on."""
    reach = UNBROKEN_BACKWARDS.match(context[::-1])
    return context[-reach.end() - 1 :] if reach else context


def _has_national_form(written: str, digits: str) -> bool:
    """Return whether a grouped number is a North American one or a valid one with its trunk zero."""
    if written.isdigit() or AMOUNT.fullmatch(written):
        return False
    if NORTH_AMERICAN_SPACED.fullmatch(written):
        return _is_valid(digits, ("US",))
    with_trunk_zero = digits[0] == "0" and len(digits) >= 9
    return bool(NORTH_AMERICAN.fullmatch(written)) or (with_trunk_zero and _is_valid(digits, REGIONS))


def _continues(text: str, end: int) -> bool:
    """Return whether what follows makes the digits part of something longer: a unit, a time, a decimal."""
    after = text[end : end + 1]
    if after in (",", ":", ".") and text[end + 1 : end + 2].isdigit():
        return True
    return (after.isalnum() or after in GOES_ON) and not EXTENSION.match(text, end)


@lru_cache(maxsize=4096)
def _is_valid(digits: str, regions: tuple[str, ...]) -> bool:
    import phonenumbers

    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(digits, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


@lru_cache(maxsize=4096)
def _is_international(digits: str, *, strict: bool) -> bool:
    """Return whether digits with their country code may be a number; strictly: whether it is assigned."""
    import phonenumbers

    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number) or (not strict and phonenumbers.is_possible_number(number))
