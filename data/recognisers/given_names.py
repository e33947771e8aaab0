"""People whom nothing but a given name gives away: "Jane Roe", "Roe, Jane", "J. Roe", and Jane alone.

A local list says what a given name is. One that is an ordinary word or a place as well ("Will",
"Paris") counts only before a family name of the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from data.recognisers.found import Found, canonical_name
from data.recognisers.name_lists import (
    COMPANIES,
    NO_FAMILY,
    ORDINARY,
    ORGANISATION,
    PLACES,
    WORD,
    family_names,
    given_names,
)
from data.recognisers.words import places_of

FAMILY = r"(?:[ODd]['’])?[^\W\d_a-z][^\W\d_]{1,24}(?:['’-][^\W\d_a-z][^\W\d_]{1,24}){0,2}"
PARTICLE = (
    r"(?:van|von|vom|zu|zur|de|del|della|di|da|do|dos|das|du|den|der|ter|ten|te|la|le|el|al|bin|ibn|af|av)"
)
NEXT = re.compile(rf"(?:-| (?:[A-Z]\.? ){{0,2}}(?:{PARTICLE} ){{0,3}})({FAMILY})")
INITIALS = re.compile(rf"\.(?<=[A-Z]\.) ?(?:[A-Z]\. ?)?({FAMILY})")
LAST_FIRST = re.compile(rf"(?<![\w.@/'-])({FAMILY}), $")
COMPANY_BEHIND = re.compile(r",? (?:& |and )?([A-Z][A-Za-z]+)")
LONGEST_FAMILY = 28
MOST_WORDS = 3
LONGEST_PLACE = 20
PLACE_BEFORE = frozenset(
    WORD.findall(
        "San Santa Santo St Saint Sainte Sankt São Fort Ft Port Mount Mt Lake Camp Cape Los Las El Point Rio"
        " University Via Rue New North South East West Project Hurricane Tropical Villa Plaza Calle Rua"
        " Avenida Place ul"
    )
)
PARTICLES = frozenset(WORD.findall("van von del den der des dos las los san santa sao mac saint"))


def named_people(text: str, words: frozenset[str]) -> Iterator[Found]:
    """Yield people by their given name and what follows it, and by initials before a family name.

    ``words`` are the capitalised words of the text.
    """
    families = family_names()
    finished = 0
    for start, given in places_of(text, words & _searched(), are_capitalised=True):
        found = _person(text, start, given, families, finished) if start >= finished else None
        if found:
            finished = found.end
            yield found
    if ". " in text:
        yield from _by_initials(text, families)


@lru_cache(maxsize=1)
def _searched() -> frozenset[str]:
    return frozenset(name for name in given_names() if name.lower() not in PARTICLES)


@lru_cache(maxsize=1)
def _doubtful() -> frozenset[str]:
    return frozenset(name for name in given_names() if name.lower() in ORDINARY or name.lower() in PLACES)


def _person(text: str, start: int, given: str, families: frozenset[str], finished: int) -> Found | None:
    """Return the person whose given name stands there, with what belongs to the name around it."""
    end = start + len(given)
    if _is_glued(text, start, end):
        return None
    doubtful = given in _doubtful()
    finish = _end_of_family(text, end, given, families, doubtful=doubtful)
    if finish == 0 or (doubtful and finish == end) or _is_company(text, finish):
        return None
    before = text[max(0, start - LONGEST_PLACE) : start].split()
    if before and _goes_before(before, given):
        return None
    if finish > end:
        return _found(text, start, finish)
    return _found(text, _start_of_family(text, start, families, finished), end)


def _end_of_family(text: str, end: int, given: str, families: frozenset[str], *, doubtful: bool) -> int:
    """Return where the words end that follow a given name as its family name, or 0 if they name no person."""
    finish, words = end, 0
    while words < MOST_WORDS and text[finish : finish + 1] in (" ", "-"):
        following = NEXT.match(text, finish)
        if following is None:
            break
        word = following[1]
        lower = word.lower()
        by_dash = text[finish] == "-" and word not in given_names()  # two family names: a firm, or a family
        if by_dash or lower in ORGANISATION or (not words and f"{given} {word}" in COMPANIES):
            return 0
        known = word in families
        if lower in NO_FAMILY or not (known or not (doubtful or given.isupper())):
            break
        if doubtful and not words and (lower in ORDINARY or lower in PLACES):
            break
        finish, words = following.end(), words + 1
    return finish


def _start_of_family(text: str, start: int, families: frozenset[str], finished: int) -> int:
    """Return where "Roe, Jane" begins, or ``start`` if no family name stands before the given one."""
    if text[start - 2 : start] != ", ":
        return start
    family = LAST_FIRST.search(text, max(finished, start - LONGEST_FAMILY - 2), start)
    if family and family[1] in families and _is_family(family[1]) and family[1] not in given_names():
        return family.start(1)
    return start


def _by_initials(text: str, families: frozenset[str]) -> Iterator[Found]:
    """Yield "J. Roe" and "J. R. Roe", where the family name is no ordinary word."""
    for match in INITIALS.finditer(text):
        start, family = match.start() - 1, match[1]
        before = text[start - 1 : start]
        if before.isalnum() or (before != "" and before in "_.'/-@") or family not in families:
            continue
        if (
            _is_family(family) and family != "Morgan" and not _is_company(text, match.end())
        ):  # J. P. is a bank
            yield _found(text, start, match.end())


def _is_family(name: str) -> bool:
    lower = name.lower()
    return not any(lower in words for words in (ORDINARY, PLACES, NO_FAMILY, ORGANISATION))


def _is_company(text: str, end: int) -> bool:
    behind = COMPANY_BEHIND.match(text, end)
    if behind is None:
        return False
    twice = "&" in behind[0] and text.endswith(behind[1], 0, end)
    return twice or behind[1].lower() in ORGANISATION


def _goes_before(before: list[str], given: str) -> bool:
    """Return whether the words before make a place or a company of what looks like a given name."""
    last = before[-1].strip(".-")
    return last in PLACE_BEFORE or f"{last} {given}" in COMPANIES or before[-2:] == [given, "&"]


def _is_glued(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return (
        before.isalnum()
        or (before != "" and before in "_@/\\.#=")
        or after.isalnum()
        or (after != "" and after in "_@/\\=(")
        or (after in (".", ":", "-") and text[end + 1 : end + 2].isalnum() and after != "-")
    )


def _found(text: str, start: int, end: int) -> Found:
    return Found("PERSON", start, end, canonical_name(text[start:end]))
