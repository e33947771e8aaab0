"""Numbers by which states know their people: by form and check digit, or after their name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

from data.recognisers.found import Found, canonical
from data.recognisers.shape import form_places
from data.recognisers.surroundings import Surroundings

CONTEXT_REACH = 48


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one state writes its number, and which module of python-stdnum checks it."""

    module: str
    pattern: re.Pattern[str]
    context: re.Pattern[str] | None = None
    """What has to stand before it, where its form alone says too little."""


def _said(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b[^0-9\n]*$", re.IGNORECASE)


SCHEMES = (
    Scheme("stdnum.ca.sin", re.compile(r"[0-9]{3}([ -])[0-9]{3}\1[0-9]{3}")),
    Scheme("stdnum.ca.sin", re.compile(r"[0-9]{9}"), _said("SIN|social insurance|assurance sociale")),
    Scheme("stdnum.in_.aadhaar", re.compile(r"[2-9][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}")),
    Scheme("stdnum.in_.aadhaar", re.compile(r"[2-9][0-9]{11}"), _said("aadhaar|uidai")),
    Scheme("stdnum.br.cpf", re.compile(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}")),
    Scheme("stdnum.se.personnummer", re.compile(r"(?:19|20)?[0-9]{6}[-+][0-9]{4}")),
    Scheme(
        "stdnum.fr.nir",
        re.compile(
            r"[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[ABab]) ?[0-9]{3} ?[0-9]{3}"
            r"(?: ?[0-9]{2}| ?[-/] ?[0-9]{2})"
        ),
    ),
    Scheme("stdnum.es.dni", re.compile(r"[0-9]{8}[ -]?[A-Za-z]")),
    Scheme("stdnum.gb.nhs", re.compile(r"[0-9]{3}([ -]?)[0-9]{3}\1[0-9]{4}"), _said("NHS")),
    Scheme(
        "stdnum.de.idnr",
        re.compile(r"[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}"),
        _said(r"steuer-?(?:id|identifikationsnummer|nummer)|identifikationsnummer|idnr|tax id"),
    ),
    Scheme(
        "stdnum.nl.bsn",
        re.compile(r"[0-9]{4}[ .]?[0-9]{2}[ .]?[0-9]{3}|[0-9]{9}"),
        _said("BSN|burgerservicenummer|sofinummer"),
    ),
    Scheme("stdnum.pl.pesel", re.compile(r"[0-9]{11}"), _said("pesel")),
)
"""What begins with a digit."""

INSURANCE = re.compile(
    r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    r"[ -]?[0-9]{2}([ -]?)[0-9]{2}\1[0-9]{2}[ -]?[A-D]"
)
"""The British National Insurance number has no check digit: its form has to do."""

LETTER_BEFORE = re.compile(r"[A-Zxyz]")
FOREIGNER = re.compile(r"[XYZxyz][ -]?[0-9]{7}[ -]?[A-Za-z]")
FISCAL_CODE = b"aaaaaa00a00a000a"


def national_ids(text: str, start: int, end: int, around: Surroundings) -> Iterator[Found]:
    """Yield the national numbers that begin with a cluster of digits, or with the letters before it."""
    for scheme in SCHEMES:
        match = scheme.pattern.match(text, start)
        if (
            match
            and _stands_alone(text, start, match.end())
            and (scheme.context is None or scheme.context.search(around.before(start, CONTEXT_REACH)))
            and _is_valid(scheme.module, match[0])
        ):
            yield _found(text, start, match.end())
            return
    if not LETTER_BEFORE.search(text, max(0, start - 2), start):
        return
    for first in range(max(0, start - 3), start):
        foreigner = FOREIGNER.match(text, first)
        match = foreigner or INSURANCE.match(text, first)
        valid = match and (foreigner is None or _is_valid("stdnum.es.nie", match[0]))
        if match and valid and _stands_alone(text, first, match.end()):
            yield _found(text, first, match.end())


def fiscal_codes(text: str, shape: bytes) -> Iterator[Found]:
    """Yield Italian fiscal codes whose last letter is right."""
    for start in form_places(FISCAL_CODE, shape):
        end = start + len(FISCAL_CODE)
        if _stands_alone(text, start, end) and _is_valid("stdnum.it.codicefiscale", text[start:end]):
            yield _found(text, start, end)


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isalnum() or (before != "" and before in "+-/_.,$€£#=&") or after.isalnum() or after == "_":
        return False
    goes_on = after != "" and after in " -./," and text[end + 1 : end + 2].isdigit()
    comes_on = before == " " and text[start - 2 : start - 1].isdigit()
    return not goes_on and not comes_on


@lru_cache(maxsize=4096)
def _is_valid(module: str, number: str) -> bool:
    return bool(import_module(module).is_valid(number))


def _found(text: str, start: int, end: int) -> Found:
    return Found("NATIONAL_ID", start, end, canonical("NATIONAL_ID", text[start:end]))
