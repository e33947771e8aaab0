"""Postal addresses by the pattern of their street: English, German, French, Italian and Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.recognisers.found import Found, canonical

NAME_WORD = r"[^\W\d_a-z][\w'’.-]{0,25}"
HOUSE_NUMBER = re.compile(
    r"[0-9](?:"
    r"(?<![\w.,/:$€£#-][0-9])[0-9]{0,5}(?: (?:bis|ter)|[A-Za-z])?,? (?=[0-9]{0,6} ?([^\W\d_]))"
    r"|(?<=[.ezgmr] [0-9]))"
)
"""Where a street follows, or may stand before: everything else about streets is looked for only here."""

UNIT = r"(?:[,\s]{1,3}(?:Apt|Apartment|Suite|Unit|Floor|Room|Ste|#)\.? ?\w{1,6})?"
CITY = rf"(?:[,\s]{{1,3}}{NAME_WORD}(?: {NAME_WORD}){{0,2}})?"
ZIP = r"(?:[A-Z]{2},? [0-9]{5}(?:-[0-9]{4})?\b|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}\b)"
ENGLISH = re.compile(
    rf"[0-9]{{1,6}}[A-Za-z]?,? (?:[0-9]{{1,6}} )?(?:{NAME_WORD} ){{1,4}}?"
    r"(?:(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Court|Ct|Square|Sq|Terrace"
    r"|Parkway|Pkwy|Highway|Hwy|Circle|Crescent|Close|Grove|Mews|Alley|Place|Way|Gardens|Plaza|Broadway)\b\.?"
    r"|Dr(?:\.|(?=[,\n])|(?= Apt| Suite)))"
    rf"{UNIT}(?:{CITY}[,\s]{{1,3}}{ZIP})?"
)
FRENCH = re.compile(
    r"[0-9]{1,4}(?: ?(?:bis|ter))?,? "
    r"(?:rue|avenue|boulevard|place|quai|chemin|impasse|all[eé]e|cours|route|Rue|Avenue|Boulevard|Place)"
    rf" (?:(?:de la|de l'|de|du|des|la|le|les|d') ?){{0,2}}{NAME_WORD}(?: {NAME_WORD}){{0,3}}"
    rf"(?:[,\s]{{1,3}}[0-9]{{5}} {NAME_WORD}(?: {NAME_WORD})?)?"
)
GERMAN = re.compile(
    r"(?<!\w)[^\W\d_a-z][\w-]{1,40}?"
    r"(?:[ -]?Stra(?:ß|ss)e|stra(?:ß|ss)e|str\.|platz|weg|allee|gasse|damm|ufer) [0-9]{1,4}(?: ?[a-f])?\b"
    rf"(?:[,\s]{{1,3}}(?:D-|A-|CH-)?[0-9]{{4,5}} {NAME_WORD}"
    rf"(?: (?:(?:am|an der|im|bei|ob der) )?{NAME_WORD})?)?"
)
NO_STREET = re.compile(
    r"(?:Arbeits|Sitz|Park|Stell|Steh|Markt|Schlaf)platz|(?:Hin|Rück|Heim|Aus|Um|Be|Nor)weg"
)
ROMANCE = re.compile(
    rf"(?:Viale?|Piazza|Calle|Avenida|Rua|Paseo) (?:d[aeio]\w? )?(?:{NAME_WORD} ){{1,4}}?[0-9]{{1,4}}\b"
)
BOX = re.compile(
    r"(?:P\.? ?[Oo]\.? ?B(?:ox|OX)|p\.? ?o\.? ?box|Postfach|Bo[iî]te postale) [0-9][0-9 ]{0,6}[0-9]\b"
)
LONGEST_STREET = 45
GERMAN_BEFORE = re.compile("[.ezgmr] ")


def addresses(text: str) -> Iterator[Found]:
    """Yield streets with their number, and what follows of unit, postcode and city."""
    searched = 0
    for number in HOUSE_NUMBER.finditer(text):
        match = _street_at(text, number, searched)
        if match:
            searched = match.end()
            yield _found(match)
    for pattern in (ROMANCE, BOX):
        for match in pattern.finditer(text):
            if not text[match.start() - 1 : match.start()].isalnum():
                yield _found(match)


def _street_at(text: str, number: re.Match[str], searched: int) -> re.Match[str] | None:
    """Return the street that a house number belongs to: the word before it, or else the words after it."""
    start = number.start()
    if GERMAN_BEFORE.match(text, start - 2):
        street = GERMAN.search(text, max(searched, start - LONGEST_STREET), start + LONGEST_STREET)
        if street and not NO_STREET.match(street[0]):
            return street
    if number[1] is None:
        return None
    return FRENCH.match(text, start) or (None if number[1].islower() else ENGLISH.match(text, start))


def _found(match: re.Match[str]) -> Found:
    street = match[0].rstrip(".,'’- ")
    return Found("ADDRESS", match.start(), match.start() + len(street), canonical("ADDRESS", street))
