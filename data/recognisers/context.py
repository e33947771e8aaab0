"""Values that only the words before them make personal: accounts, passports, dates of birth, passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from data.recognisers.credentials import PASSWORD, TOKEN
from data.recognisers.found import Found, Introduction, canonical
from data.recognisers.numbers import UNDASHED_SSN

GAP = r"[\s:#.=-]{0,4}"
LINK = (
    rf"{GAP}(?:\(?(?:n°|(?:number|no|num|nr|nummer|num[eé]ro|id)\b)[.)]?)?"
    rf"{GAP}(?:(?:is|was|ist|lautet|est|ends in)\b)?{GAP}"
)

MONTHS = (
    r"(?:jan(?:uary|uar|vier)?|f[eé]v(?:rier)?|feb(?:ruary|ruar)?|m[aä]r(?:ch|z|s)?|a[pv]r(?:il)?|ma[iy]|june?|juin|juni|"
    r"july?|juli|juillet|aug(?:ust)?|ao[uû]t|sept?(?:ember|embre)?|o[ck]t(?:ober|obre)?|nov(?:ember|embre)?|"
    r"d[eé][cz](?:ember|embre)?)\.?"
)
DATE = (
    r"(?:[0-3]?[0-9][./-][0-3]?[0-9][./-](?:19|20)?[0-9]{2}|(?:19|20)[0-9]{2}[./-][01]?[0-9][./-][0-3]?[0-9]"
    rf"|[0-3]?[0-9](?:st|nd|rd|th|er|\.)? (?:of )?{MONTHS},? (?:19|20)[0-9]{{2}}"
    rf"|{MONTHS} [0-3]?[0-9](?:st|nd|rd|th)?,? (?:19|20)[0-9]{{2}})"
)
ANY_DATE = re.compile(DATE)


def _account(written: str) -> str:
    return "" if _digits(written) < 5 or ANY_DATE.fullmatch(written.lower()) else written


def _passport(written: str) -> str:
    return "" if _digits(written) < 3 else written


def _digits(written: str) -> int:
    return sum(map(written.count, "0123456789"))


ACCOUNT = Introduction(
    "ACCOUNT",
    ("account", "acct", "a/c", "konto", "compte", "routing", "sort code", "blz", "bankleitzahl"),
    re.compile(
        r"(?:accounts?|acct|a/c|konto(?:nummer|nr)?|compte(?: bancaire)?|routing|sort code|blz|bankleitzahl)"
        rf"{LINK}"
        r"((?:[a-z]{1,4}-?)?[0-9](?:[0-9 -]{2,20}[0-9])[a-z]?)(?!\w|[.,][0-9])"
    ),
    _account,
)
PASSPORT = Introduction(
    "PASSPORT",
    ("passp", "reisepass", "passnummer", "ausweis", "carte d'identit"),
    re.compile(
        r"(?:passport|reisepass(?:nummer)?|passnummer|passeport|ausweis(?:nummer)?|carte d'identit[eé])"
        rf"{LINK}([a-z]{{0,3}}[0-9][a-z0-9]{{5,10}}|[a-z]{{1,3}}[a-z0-9]{{1,4}}[0-9][a-z0-9]{{3,6}})(?!\w)"
    ),
    _passport,
)
BIRTH = Introduction(
    "DOB",
    (
        "dob",
        "d.o.b",
        "birth",
        "born",
        "geboren",
        "geburts",
        "geb.",
        "naissance",
        "née le",
        "né le",
        "né(e) le",
        "nee le",
    ),
    re.compile(
        r"(?:dob|d\.o\.b|birth ?da(?:te|y)|birth|born|geboren(?: am)?|geburts(?:datum|tag)|geb|naissance"
        r"|né(?:e|\(e\))? le)"
        rf"[\s:.=,-]{{0,4}}(?:(?:is|was|ist|war|est)\b)?(?: (?:on|am|le)\b)?[\s:.-]{{0,4}}({DATE})(?![0-9])"
    ),
    str,
)
POSTCODE = Introduction(
    "ADDRESS",
    ("zip", "postal code", "post code", "postcode", "plz", "postleitzahl", "code postal"),
    re.compile(
        r"(?:zip(?: ?code)?|post(?:al)? ?code|plz|postleitzahl|code postal)(?: number)?"
        r"(?: is| ist| est)?:? {0,2}"
        r"([0-9]{5}(?:-[0-9]{4})?|[a-z]{1,2}[0-9][a-z0-9]? ?[0-9][a-z]{2}|[0-9]{4})(?![\w-])"
    ),
    str,
)
INTRODUCTIONS = (POSTCODE, ACCOUNT, PASSPORT, BIRTH, UNDASHED_SSN, PASSWORD, TOKEN)
BY_FIRST_LETTER = {
    letter: tuple(item for item in INTRODUCTIONS if any(word.startswith(letter) for word in item.words))
    for letter in sorted({word[0] for item in INTRODUCTIONS for word in item.words})
}
TAILS = {
    letter: "|".join(re.escape(word[1:]) for item in items for word in item.words if word[0] == letter)
    for letter, items in BY_FIRST_LETTER.items()
}
ANY_WORD = re.compile("|".join(f"{letter}(?:{tails})" for letter, tails in TAILS.items()))
"""One branch for each first letter: the search skips all others quickly."""


RARE_LETTERS = "/ékbgwpc"
"""One of them stands in almost every word that introduces, and in ordinary text they make a tenth."""


def _from_rare_letter(word: str) -> str:
    """Return the pattern of a word from its rare letter on, with what stands before that looked up behind."""
    at = next(word.index(letter) for letter in RARE_LETTERS if letter in word)
    return re.escape(word[at:]) + (f"(?<={re.escape(word)})" if at else "")


WORDS = sorted({word for item in INTRODUCTIONS for word in item.words})
COMMON_WORDS = [word for word in WORDS if not any(letter in word for letter in RARE_LETTERS)]
PARTS = [_from_rare_letter(word) for word in WORDS if word not in COMMON_WORDS]
HINT = re.compile(
    "|".join(
        f"{letter}(?:{'|'.join(sorted((part[1:] for part in PARTS if part[0] == letter), reverse=True))})"
        for letter in RARE_LETTERS
    )
)
REACH = 2 * max(map(len, WORDS))


def introducing_words(lower: str) -> Iterator[re.Match[str]]:
    """Yield what ``ANY_WORD`` finds in a lowered text; rare letters say where to look."""
    if any(map(lower.__contains__, COMMON_WORDS)):
        yield from ANY_WORD.finditer(lower)
        return
    finished = 0
    for hint in HINT.finditer(lower):
        begin, end = hint.start() - REACH, hint.start() + REACH
        while word := ANY_WORD.search(lower, max(finished, begin), end):
            yield word
            finished = word.end()


def introduced(text: str, lower: str) -> Iterator[Found]:
    """Yield the values that the words before them make personal: accounts, birthdays, passwords.

    What a secret holds is none of its own: "key=key=key=…" is read once, not once from every word.
    """
    secret_end = 0
    for word in introducing_words(lower):
        if word.end() <= secret_end:
            continue
        for item in BY_FIRST_LETTER[word[0][0]]:
            match = item.pattern.match(lower, word.start())
            value = match and item.accept(text[match.start(1) : match.end(1)])
            if match and value:
                start, end = match.start(1), match.start(1) + len(value)
                rest = item.rest.match(text, match.end(1)) if item.rest else None
                end = rest.end() if rest and rest[0] else end
                yield Found(item.kind, start, end, canonical(item.kind, text[start:end]))
                secret_end = end if item.kind == "SECRET" else secret_end
