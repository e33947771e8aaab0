"""Postal addresses: by the pattern of their street, or by the flat, the postcode or the words beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.recognisers.found import Found, canonical

NAME_WORD = r"[^\W\d_a-z][\w'’.-]{0,25}"
HOUSE_NUMBER = re.compile(
    r"[0-9](?:"
    r"(?<![\w.,/:$€£#-][0-9])[0-9]{0,5}(?: (?:bis|ter)|[A-Za-z])?,? (?=[0-9]{0,6} ?([^\W\d_]))"
    r"|(?<=[^\W\d_] [0-9])|(?<=\. [0-9]))"
)
"""Where a street follows, or may stand before: everything else about streets is looked for only here."""

UNIT_WORD = r"(?:Apt|APT|apt|Apartment|Suite|SUITE|suite|Unit|Floor|Room|Ste|#)"
UNIT = rf"(?:[,\s>?]{{1,6}}{UNIT_WORD}\.? ?[0-9A-Z]\w{{0,5}})"
CITY = rf"(?:[,\s]{{1,3}}{NAME_WORD}(?: {NAME_WORD}){{0,2}})?"
ZIP = r"(?:[A-Z]{2},? [0-9]{5}(?:-[0-9]{4})?\b|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}\b)"
PARTICLE = (
    r"(?:de|da|do|dos|das|del|della|delle|di|du|des|den|der|la|le|les|los|las|van|von|el|al|of|and|the|i|a)"
)
WORDS = rf"{NAME_WORD}(?: (?:{PARTICLE} ){{0,2}}{NAME_WORD}){{0,4}}"
LINE = r" ?(?:,\s{0,3}|\n{1,2}[> ?]{0,6},? ?)"
TAIL = rf"(?: {WORDS})?(?:{LINE}{WORDS}(?: \([A-Z][a-z]+\))?){{0,3}}(?:(?: |{LINE})[0-9]{{4,6}}\b)?"
"""City, region and country behind a flat, one to a line or between commas, and the postcode."""

POSTCODE_TAIL = (
    rf"(?: {NAME_WORD}){{0,2}}(?:{LINE}{WORDS}(?: \([A-Z][a-z]+\))?){{0,3}}(?: |{LINE})[0-9]{{5,6}}\b"
)
BOX_NAME = r"(?:P\.? ?[Oo]\.? ?B(?:ox|OX)|Postbox|POSTBOX|Postboks|Postfach)"
ENGLISH = re.compile(
    rf"[0-9]{{1,6}}[A-Za-z]?,? (?:[0-9]{{1,6}} )?(?:{NAME_WORD} ){{1,4}}?"
    r"(?:(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Court|Ct|Square|Sq|Terrace"
    r"|Parkway|Pkwy|Highway|Hwy|Circle|Crescent|Close|Grove|Mews|Alley|Place|Way|Gardens|Plaza|Broadway"
    r"|Trail|Crossroad|Crossing|Bypass|Turnpike|Row|Walk)\b\.?"
    r"|Dr(?:\.|(?=[,\n])|(?= Apt| Suite)))"
    rf"(?:{UNIT}{TAIL}|{CITY}[,\s]{{1,3}}{ZIP}|{POSTCODE_TAIL})?"
)
ANY_STREET = re.compile(
    rf"[0-9]{{1,6}}[A-Za-z]?,? (?:[0-9]{{1,6}} )?"
    rf"(?:(?:ul\. |al\. |C/ |{BOX_NAME} )|(?:{PARTICLE} ){{1,2}})?"
    rf"(?:{NAME_WORD}(?: (?:{PARTICLE} ){{0,2}}[^\W\d_][\w'’.-]{{0,25}}){{0,4}})?"
    rf"(?: ?[0-9]{{1,5}}\b[A-Za-z]?\.?)?(?:{UNIT}{{1,2}}{TAIL}|{POSTCODE_TAIL})"
)
"""A number and words that only the flat or the postcode behind them make a street."""

SAID_STREET = re.compile(
    rf"[0-9]{{1,6}} (?:[0-9]{{1,6}} )?(?:ul\. |al\. |C/ |[Rr]ue )?(?:{PARTICLE} ){{0,2}}{WORDS}"
    r"(?: (?:utca|u\.|út|útja|tér))? [0-9]{1,5}\b"
)
SAID_BEFORE = re.compile(
    r"(?:\baddress(?: is|:| to| at)?"
    r"|\b(?:live[sd]?|living|located|arrived|office is|meet(?: me)?|resid(?:es|ing)) at"
    r"|\breturn(?:ed)? to|\b(?:taxi|deliver(?:ed)?|ship(?:ped)?|sen[dt]) to|\badresse:?) $",
    re.IGNORECASE,
)
MONTH = re.compile(
    r"[0-9]{1,4},? (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|M[aä]r|Mai|Okt|Dez|AM|PM|[ap]m)\b"
    r"|[0-9]{1,4},? (?:January|February|March|April|June|July|August|September|October|November|December)"
)
FRENCH = re.compile(
    r"[0-9]{1,4}(?: ?(?:bis|ter))?,? "
    r"(?:rue|avenue|boulevard|place|quai|chemin|impasse|all[eé]e|cours|route|Rue|Avenue|Boulevard|Place)"
    rf" (?:(?:de la|de l'|de|du|des|la|le|les|d') ?){{0,2}}{NAME_WORD}(?: {NAME_WORD}){{0,3}}"
    rf"(?:[,\s]{{1,3}}[0-9]{{5}} {NAME_WORD}(?: {NAME_WORD})?)?"
)
GERMAN = re.compile(
    r"(?<!\w)[^\W\d_a-z][\w-]{1,40}?"
    r"(?:[ -]?[Ss]tra(?:ß|ss)e|str\.|platz|weg|allee|gasse|damm|ufer|straat|laan|plein|gracht|kade|dreef"
    r"|vej|gade|stræde|gatan|vägen|gränd|veien|vegen|gata|gate|katu|kuja|tie|polku|vegur|götu|stígur) "
    r"[0-9]{1,4}(?: ?[a-f])?\b"
    rf"(?:{UNIT}{TAIL}|[,\s]{{1,3}}(?:D-|A-|CH-)?[0-9]{{4,5}} {NAME_WORD}"
    rf"(?: (?:(?:am|an der|im|bei|ob der) )?{NAME_WORD})?)?"
)
NO_STREET = re.compile(
    r"(?:Arbeits|Sitz|Park|Stell|Steh|Markt|Schlaf)platz|(?:Hin|Rück|Heim|Aus|Um|Be|Nor)weg"
    r"|(?:(?:Re|Ne|In|Dele|Investi|Miti|Navi|Dedi|Col|Bill|Wa[t]er|Color|Del|Pro|Aggre|Investi)gate|Tie|.*[nst]tie|Gate)\b"
)
ROMANCE = re.compile(
    r"(?:Via(?:le)?|Piazza|Calle|Avenida|Avda\.?|Rua|Travessa|Paseo|Rue|Ulica|ul\.|al\.)"
    rf" (?:{PARTICLE} ){{0,2}}(?:{NAME_WORD} (?:{PARTICLE} ){{0,2}}){{1,4}}?[0-9]{{1,4}}\b"
)
HUNGARIAN = re.compile(
    rf"{NAME_WORD}(?: [^\W\d_][\w'’.-]{{0,25}})? (?:utca|u\.|útja?|tér|körút) [0-9]{{1,4}}\b\.?"
)
BOX = re.compile(
    rf"(?:{BOX_NAME}|p\.? ?o\.? ?box|Bo[iî]te postale) [0-9](?:[0-9 ]{{0,6}}[0-9])?\b"
    rf"(?:[,\s]{{1,3}}{NAME_WORD}(?: {NAME_WORD}){{0,2}}[,\s]{{1,3}}{ZIP})?"
)
MILITARY = re.compile(
    r"\b(?:(?:PSC|Unit|UNIT|unit|psc|CMR) [0-9]{1,5},? [Bb](?:ox|OX) [0-9]{1,5}"
    r"|USN[SV]? [^\W\d_][\w-]{1,25}|US(?:S|CGC) [^\W\d_][\w-]{1,25})"
    r"[,\s]{1,3}(?:[ADF]PO|[adf]po) (?:A[AEP]|a[aep]) [0-9]{5}\b"
)
GERMAN_ENDS = (
    "straße", "strasse", "Straße", "Strasse", "str.", "platz", "weg", "allee", "gasse", "damm", "ufer",
    "straat", "laan", "plein", "gracht", "kade", "dreef",
    "vej", "gade", "stræde", "gatan", "vägen", "gränd", "veien",
    "vegen", "gata", "gate", "katu", "kuja", "tie", "polku", "vegur", "götu", "stígur",
)  # fmt: skip
HUNGARIAN_ENDS = (" utca", " u.", " út", " útja", " tér", " körút")
BOX_ENDS = ("Box", "BOX", "box", "Postbox", "POSTBOX", "Postboks", "Postfach", "postale")
MILITARY_POSTS = ("PO A", "po a")
ROMANCE_WORDS = frozenset(
    ("Via", "Viale", "Piazza", "Calle", "Avenida", "Avda", "Rua", "Travessa", "Paseo", "Rue", "Ulica")
)
ROMANCE_START = re.compile(
    r"\b(?:Via(?:le)?|Piazza|Calle|Avenida|Avda|Rua|Travessa|Paseo|Rue|Ulica|ul\.|al\.)(?= |\.)"
)
LONGEST_BEFORE = 80
LONGEST_STREET = 45
SAID_REACH = 24


def addresses(text: str, words: frozenset[str]) -> Iterator[Found]:
    """Yield streets with their number, and what follows of unit, postcode and city.

    ``words`` are the capitalised words of the text.
    """
    searched = 0
    is_romance = not ROMANCE_WORDS.isdisjoint(words)
    for number in HOUSE_NUMBER.finditer(text):
        if number.start() < searched:
            continue
        match = (
            _whole_at(text, number)
            or _before(text, number.start(), searched, is_romance=is_romance)
            or _street_at(text, number)
        )
        if match:
            searched = match.end()
            yield _found(match)
    if any(post in text for post in MILITARY_POSTS):
        yield from map(_found, MILITARY.finditer(text))


def _whole_at(text: str, number: re.Match[str]) -> re.Match[str] | None:
    """Return the address that begins with the number, told by the flat or the postcode behind."""
    if number[1] is None or MONTH.match(text, number.start()):
        return None
    return ANY_STREET.match(text, number.start())


def _before(text: str, start: int, searched: int, *, is_romance: bool) -> re.Match[str] | None:
    """Return the street or the box that ends with the number: the word before it says which."""
    if text[start - 1 : start] != " ":
        return None
    begin = max(searched, start - LONGEST_BEFORE)
    before = text[begin : start - 1]
    if before.endswith(GERMAN_ENDS):
        street = GERMAN.search(text, max(searched, start - LONGEST_STREET), start + LONGEST_BEFORE)
        if street and street.end() > start and not NO_STREET.match(street[0]):
            return street
    if before.endswith(BOX_ENDS):
        return _last(BOX, text, begin, start)
    if before.endswith(HUNGARIAN_ENDS):
        return _last(HUNGARIAN, text, begin, start)
    may_begin = is_romance or "l." in before or before[:1].isupper()  # where a word is cut off in front
    romance = ROMANCE_START.search(before) if may_begin else None
    return ROMANCE.match(text, begin + romance.start()) if romance else None


def _last(pattern: re.Pattern[str], text: str, begin: int, number: int) -> re.Match[str] | None:
    """Return the match that holds the number."""
    found = pattern.search(text, begin, number + LONGEST_BEFORE)
    whole = (
        found
        and found.start() < number < found.end()
        and not text[found.start() - 1 : found.start()].isalnum()
    )
    return found if whole else None


def _street_at(text: str, number: re.Match[str]) -> re.Match[str] | None:
    """Return the street that the words after its number name."""
    start = number.start()
    if number[1] is None:
        return None
    if french := FRENCH.match(text, start):
        return french
    if number[1].islower() or MONTH.match(text, start):
        return None
    if english := ENGLISH.match(text, start):
        return english
    said = SAID_BEFORE.search(text, max(0, start - SAID_REACH), start)
    return SAID_STREET.match(text, start) if said else None


def _found(match: re.Match[str]) -> Found:
    street = match[0].rstrip(".,'’- \n>?")
    return Found("ADDRESS", match.start(), match.start() + len(street), canonical("ADDRESS", street))
