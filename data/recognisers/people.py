"""Names of people: known ones anywhere, others where a title, greeting, closing or address shows them."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from data.disguise import readings
from data.recognisers.found import Found, canonical_name
from data.recognisers.words import WORD, is_whole, may_stand, places_of, whole_words

SHORTEST_PART = 3
FEW_PARTS = 64
PART = re.compile(r"[^\W\d_]+(?:'[^\W\d_]{2,})?")
BEFORE_APOSTROPHE = re.compile(r"[^\W\d_]+(?='[^\W\d_]{2})")
BETWEEN_PARTS = re.compile(r",? |-| [A-Z]\.? ")
PARTICLES = frozenset(WORD.findall("von van der den del della des the and und les los dos"))
WORDS_TOO = frozenset(
    WORD.findall(
        "May Will Can April June August Team Support Sales Desk Office Group Info Service Admin"
        " Long Short Price Bond Banks Cash Day Best"
    )
)
"""Parts of names that are ordinary words: redacted inside a whole name, not alone."""

TITLE = re.compile(r"(?:M(?:rs?|s|me|lle|adame|onsieur)|Dr|Prof|Herrn?|Frau)[. ]")
NAMES = r"([^\W\d_][\w'’-]{1,30}(?:[ -][^\W\d_][\w'’-]{1,30}){0,2})"
TITLED = re.compile(
    rf"(?:(?:Mrs?|Ms|Dr|Prof|Herrn?|Frau|Mme|Mlle|Madame|Monsieur)\.? ){{1,3}}(?:[A-Z]\. )?{NAMES}"
)
GREETING = (
    "(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|moin"
    rf"|bonjour|bonsoir|salut|ch[eè]re?) {NAMES}(?: (?:and|und|et|&) {NAMES})?"
    r"(?=[ \t]{0,3}(?:[,!:;.\r\n-]|\Z))"
)
CLOSING = (
    r"(?:(?:(?:kind|best|warm|with best|with kind)(?:est)? )?(?:regards|wishes)|best|thanks(?: again)?"
    r"|thank you|many thanks|cheers|(?:yours )?(?:sincerely|truly|faithfully)(?: yours)?|rgds|br"
    r"|(?:mit |viele[nr]? |beste[nr]? |liebe[nr]? |sch[oö]ne[nr]? |herzliche[nr]? )?"
    r"(?:freundlichen )?gr(?:ü|ue)(?:ß|ss)(?:en?)?|vg|lg|mfg|(?:bien )?cordialement|amicalement"
    r"|(?:bien )?[aà] (?:vous|toi|bient[oô]t)|salutations|merci)[,.! \t]{0,3}\r?\n(?:[> \t]{0,8}\r?\n)?"
    r"[> \t]{0,8}([^\W\d_][\w'’.-]{0,30}(?: [^\W\d_][\w'’.-]{0,30}){0,2})[ \t]{0,3}(?=[\r\n]|\Z)"
)
FIRST_LINE = re.compile(rf"[> \t]{{0,8}}(?:{GREETING}|{CLOSING})")
OTHER_LINES = re.compile(rf"\n[> \t]{{0,8}}(?:{GREETING}|{CLOSING})")
BEFORE_ADDRESS = re.compile(
    r"([^\W\d_][\w'’.-]{0,30}(?:,? [^\W\d_][\w'’.-]{0,30}){1,3})[\"']? ?[<\[(](?:mailto:)?$"
)
NO_NAMES = frozenset(
    WORD.findall(
        "all team everyone everybody folks sir sirs madam colleague colleagues customer customers client"
        " clients friend friends member members partner partners there both guys again world user"
        " subscriber investor investors shareholder applicant candidate valued sales support desk group"
        " office admin hr it legal compliance zusammen kollege kollegen kollegin kolleginnen kunde kunden"
        " kundin damen herren alle leute tous toutes collègues collègue monsieur madame president"
        " chairman speaker secretary sent from to on re fw fwd subject date regards thanks best cheers"
        " morning afternoon evening inc ltd llc gmbh ag bank sa plc corp the this that please we you i my"
        " our if is are was mit freundlichen grüßen"
    )
)
"""Capitalised in greetings and closings without naming anybody."""


Owners = Mapping[str, frozenset[str]]
"""The parts by which people may be mentioned, and to whose full name each may belong."""


def people(
    text: str,
    lower: str,
    names: Collection[str],
    addresses: Iterable[int] = (),
    strangers: Collection[str] = (),
    *,
    words: frozenset[str],
) -> Iterator[Found]:
    """Yield the mentions of known people and of those that the text itself introduces.

    ``words`` are the capitalised words of the text, ``addresses`` are the places where e-mail addresses
    begin: names stand before them. ``strangers`` are known for this text alone.
    """
    owners: Owners = owners_of(frozenset(names))
    if others := frozenset((*strangers, *_introduced(text, lower, addresses))):
        owners = _joined(owners, others)
    if owners:
        yield from _mentions(text, owners, words)


@lru_cache(maxsize=64)
def owners_of(names: frozenset[str]) -> dict[str, frozenset[str]]:
    """Return the parts of all names, three letters and more.

    A name of one word belongs to whoever carries it in a longer name: "Mr Kowalski" is the
    "Jan Kowalski" of the header.
    """
    owners: dict[str, set[str]] = {}
    plain = (name for name in names if "@" not in name and "\0" not in name)
    written = [reading.text for name in plain for reading in readings(name)]
    for name in sorted(written, key=lambda name: len(PART.findall(name)), reverse=True):
        parts = PART.findall(name)
        if len(parts) == 1 and parts[0] in owners:
            continue
        full_name = canonical_name(name)
        for part in parts:
            for spelling in {part, part.title()} if part.isupper() or part.islower() else {part}:
                if len(spelling) >= SHORTEST_PART and spelling.lower() not in PARTICLES:
                    owners.setdefault(spelling, set()).add(full_name)
    return {part: frozenset(full) for part, full in owners.items()}


def _joined(known: Owners, others: frozenset[str]) -> Owners:
    """Return both, without copying what may be the address book of a whole export."""
    unknown = frozenset(name for name in others if PART.findall(name)[1:] or name not in known)
    added = {part: full | known.get(part, frozenset()) for part, full in owners_of(unknown).items()}
    return ChainMap(added, known) if added and known else added or known  # type: ignore[arg-type]


def _mentions(text: str, known: Owners, words: frozenset[str]) -> Iterator[Found]:
    """Yield runs of name parts that belong to one person, as that person where it is clear who is meant."""
    hits = sorted(_parts(text, known, words))
    carried: dict[tuple[int, str], frozenset[str]] = {}
    index = 0
    while index < len(hits):
        start, end, part = hits[index]
        owners, count = known[part], 1
        while index + count < len(hits):
            next_start, next_end, next_part = hits[index + count]
            if next_start - end > 4 or not BETWEEN_PARTS.fullmatch(text, end, next_start):
                break
            shared = _carrying(owners, next_part, known, carried)
            if not shared:
                break
            owners, end, count = shared, next_end, count + 1
        if count > 1 or _names_alone(part):
            value = next(iter(owners)) if len(owners) == 1 else canonical_name(text[start:end])
            yield Found("PERSON", start, end, value)
        index += count


def _carrying(
    owners: frozenset[str], part: str, known: Owners, carried: dict[tuple[int, str], frozenset[str]]
) -> frozenset[str]:
    """Return those of the owners who carry the part too.

    Thousands may share a part that a text repeats thousands of times: each question is answered once.
    Both sets of a question stay alive in ``known`` or ``carried``, so that an identity means one set.
    """
    asked = id(owners), part
    if asked not in carried:
        shared = owners & known[part]
        carried[asked] = owners if len(shared) == len(owners) else shared
    return carried[asked]


def _names_alone(part: str) -> bool:
    return part not in WORDS_TOO and not part.islower()


def _parts(text: str, known: Owners, words: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """Yield every part that stands as a whole word: searched one by one if few, else word by word."""
    maps = known.maps if isinstance(known, ChainMap) else [known]
    if sum(map(len, maps)) > FEW_PARTS:
        yield from _parts_of_many(text, maps)
        return
    for part in known:
        if may_stand(part, words):
            for position in whole_words(text, part):
                yield position, position + len(part), part


def _parts_of_many(text: str, maps: Sequence[Owners]) -> Iterator[tuple[int, int, str]]:
    """Yield the parts word by word; of "O'Brien" and "O", both known, the longer."""
    longer: set[int] = set()
    for word in BEFORE_APOSTROPHE.finditer(text) if "'" in text else ():
        part = PART.match(text, word.start())
        if part and any(part[0] in known for known in maps) and is_whole(text, *part.span()):
            longer.add(part.start())
            yield *part.span(), part[0]
    present = set(WORD.findall(text))
    known_words = frozenset[str]().union(*(known.keys() & present for known in maps))
    for start, name in places_of(text, known_words):
        if start not in longer:
            yield start, start + len(name), name


def _introduced(text: str, lower: str, addresses: Iterable[int]) -> Iterator[str]:
    """Yield the names that stand after a title, in a greeting, under a closing or before an address."""
    for title in TITLE.finditer(text):
        titled = (
            None if text[title.start() - 1 : title.start()].isalnum() else TITLED.match(text, title.start())
        )
        if titled:
            yield _leading_name(titled[1].split(" "))
    first = FIRST_LINE.match(lower)
    for match in [*([first] if first else []), *OTHER_LINES.finditer(lower)]:
        for group in range(1, 4):
            name = text[match.start(group) : match.end(group)]
            if name and _leading_name(name.split(" ")) == name:
                yield name
    for start in addresses:
        if text[start - 1 : start] in ("<", "[", "(", ":"):
            before = BEFORE_ADDRESS.search(text[max(0, start - 70) : start])
            if before:
                yield _leading_name(before[1].split(" ")[::-1], backwards=True)


def _leading_name(words: Sequence[str], *, backwards: bool = False) -> str:
    """Return the words up to the first that cannot be part of a name."""
    name: list[str] = []
    for word in words:
        if not word[:1].isupper() or word.lower().strip(".,") in NO_NAMES:
            break
        name.append(word)
    return " ".join(name[::-1] if backwards else name)
