"""What the author of a message wrote: quotations, signatures and disclaimers are marked, not deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

ZoneKind = Literal["body", "quoted", "signature", "disclaimer", "attachment"]

QUOTED_LINE = re.compile(r"[ \t]{0,3}(?:>|\|(?=[ \t]))")
ATTRIBUTION_START = re.compile(r"[ \t>]{0,4}(?:On|Am|Le|El|Il|In a message dated|Quoting)\b")
ATTRIBUTION_END = re.compile(
    r"(?:\bwrote|\bwrites|\bschrieb[^\n:]{0,80}|\ba écrit|\bescribió|\bha scritto)[ \u00a0]?:[ \t]*$",
    re.IGNORECASE,
)
ATTRIBUTION_LINES = 3

FORWARD_RULE = re.compile(
    r"[ \t]{0,4}(?:-{2,}|_{5,})[ \t]?(?:Original Message|Original Appointment|Forwarded (?:message|by)"
    r"|Ursprüngliche Nachricht|Weitergeleitete Nachricht|Message d'origine|Message transféré"
    r"|Message original)\b"
    r"|[ \t]{0,4}(?:Begin forwarded message|Anfang der weitergeleiteten (?:Nachricht|E-?Mail)"
    r"|Début du message (?:transféré|réexpédié)) ?:",
    re.IGNORECASE,
)
RULE = re.compile(r"[ \t]*[-_]{5,}[ \t]*$")
HEADER_FIRST = re.compile(r"[ \t*]{0,4}(?:From|Von|De|Expéditeur) ?:\*?[ \t\u00a0]*\S", re.IGNORECASE)
HEADER_OTHER = re.compile(
    r"[ \t*]{0,4}(?:Sent|Date|To|Cc|Subject|Gesendet|Datum|An|Betreff|Envoyé|À|Objet) ?:", re.IGNORECASE
)
HEADER_REACH = 5

DELIMITER = re.compile(r"-- ?$|_{10,}[ \t]*$")
DELIMITED_LINES = 12
CLOSING = re.compile(
    r"[ \t]*(?:(?:(?:with )?(?:kind|best|warm|kindest|warmest)(?: personal)? )?(?:regards|wishes)"
    r"|(?:all the )?best|(?:many )?thanks(?: again)?(?: and regards)?|thank you|cheers"
    r"|(?:yours )?(?:sincerely|truly|faithfully)|sincerely yours|rgds|br|mfg|vg|lg|hochachtungsvoll"
    r"|(?:mit )?(?:(?:freundlich|best|viel|lieb|schön|herzlich)e[nr]? )+gr(?:ü|ue)(?:ß|ss)e?n?"
    r"|gr(?:u|ü|ue)(?:ß|ss)e?|(?:bien )?cordialement|(?:bien )?à (?:vous|toi|bientôt)|amicalement"
    r"|(?:(?:meilleures|sincères) )?salutations(?: distinguées)?|merci(?: d'avance)?)[ \t]*[,.!]?[ \t]*$",
    re.IGNORECASE,
)
CLOSING_LINES = 5
SHORT_LINE = 60

DISCLAIMER = re.compile(
    r"intended (?:only |solely )?for|intended recipient"
    r"|(?:received|sent) (?:this|it|to you)[^.\n]{0,40}in error|notify the sender|(?:before|need to) print"
    r"|registered (?:office|in england)"
    r"|authori[sz]ed and regulated"
    r"|does not constitute (?:an offer|investment advice)|(?:free of|for) virus(?:es)?\b|views expressed"
    r"|nicht der (?:richtige|beabsichtigte|vorgesehene) (?:adressat|empfänger)"
    r"|bestimmungsgemäße[nr]? empfänger"
    r"|irrtümlich|informieren sie (?:bitte )?(?:sofort |umgehend )?den absender"
    r"|amtsgericht|handelsregister"
    r"|destinataire|par erreur|usage exclusif|avertir l'expéditeur|détruire"
)
"""Phrases in small letters, sought in lowered text: three times as fast as ignoring case."""

DISCLAIMER_TOPIC = re.compile(
    r"confidential|privileged|disclaimer|vertraulich|confidentiel|unauthori[sz]ed|unbefugt|interdit"
)
SHORTEST_DISCLAIMER = 60


@dataclass(frozen=True, slots=True)
class Zone:
    """A stretch of a message's text and whose it is."""

    kind: ZoneKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    text: str


def find_zones(text: str) -> tuple[Zone, ...]:
    """Return the zones of ``text`` in order: they cover it without gaps.

    One look at every line and a bounded look around it: the time grows with the length.
    """
    lines = list(_lines(text))
    kinds: list[ZoneKind] = ["body"] * len(lines)
    _mark_quotes(lines, kinds)
    if DISCLAIMER.search(text.lower().replace("\n", " ")):
        _mark_disclaimers(lines, kinds)
    _mark_signatures(lines, kinds)
    return tuple(_merged(lines, kinds))


def own_text(text: str, zones: Sequence[Zone]) -> str:
    """Return what the author wrote; of a message that only quotes or forwards, everything."""
    own = "".join(text[zone.start : zone.end] for zone in zones if zone.kind == "body").strip()
    return own or text.strip()


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield _Line(start, end, text[start : min(end, start + 400)].rstrip("\r\n"))
        start = end


def _mark_quotes(lines: Sequence[_Line], kinds: list[ZoneKind]) -> None:
    for number, line in enumerate(lines):
        if _starts_other_message(lines, number):
            start = number - 1 if number and RULE.match(lines[number - 1].text) else number
            kinds[start:] = ["quoted"] * (len(lines) - start)
            return
        if QUOTED_LINE.match(line.text):
            kinds[number] = "quoted"
            for attribution in _attribution_above(lines, kinds, number):
                kinds[attribution] = "quoted"


def _starts_other_message(lines: Sequence[_Line], number: int) -> bool:
    """Return whether everything from here on is another message.

    Said by a rule ("-----Original Message-----"), by the header block that Outlook writes,
    or by an attribution with a date under which no line carries a quotation mark.
    """
    text = lines[number].text
    if FORWARD_RULE.match(text):
        return True
    following = lines[number + 1 : number + 1 + HEADER_REACH]
    if HEADER_FIRST.match(text):
        return sum(bool(HEADER_OTHER.match(line.text)) for line in following) >= 2
    if ATTRIBUTION_START.match(text) and ATTRIBUTION_END.search(text[-120:]) and re.search("[0-9]", text):
        return not any(QUOTED_LINE.match(line.text) for line in following)
    return False


def _attribution_above(lines: Sequence[_Line], kinds: Sequence[ZoneKind], number: int) -> range:
    """Return the lines above a quotation that say whose it is: up to three, as mail programs wrap them."""
    last = number - 1
    while last >= 0 and number - last <= 2 and not lines[last].text.strip():
        last -= 1
    if last < 0 or kinds[last] == "quoted" or not ATTRIBUTION_END.search(lines[last].text[-120:]):
        return range(0)
    for first in range(last, max(-1, last - ATTRIBUTION_LINES), -1):
        if kinds[first] == "quoted" or not lines[first].text.strip():
            break
        if ATTRIBUTION_START.match(lines[first].text):
            return range(first, number)
    return range(last, number)


def _runs(kinds: Sequence[ZoneKind]) -> Iterator[tuple[ZoneKind, int, int]]:
    start = 0
    for end in range(1, len(kinds) + 1):
        if end == len(kinds) or kinds[end] != kinds[start]:
            yield kinds[start], start, end
            start = end


def _mark_disclaimers(lines: Sequence[_Line], kinds: list[ZoneKind]) -> None:
    for kind, start, end in list(_runs(kinds)):
        for first, last in _paragraphs(lines, start, end) if kind == "body" else ():
            if _is_disclaimer(" ".join(line.text for line in lines[first:last])):
                kinds[first:last] = ["disclaimer"] * (last - first)


def _paragraphs(lines: Sequence[_Line], start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for number in range(start, end + 1):
        if number == end or not lines[number].text.strip():
            if number > first:
                yield first, number
            first = number + 1


def _is_disclaimer(paragraph: str) -> bool:
    """Return whether a paragraph speaks as disclaimers do: two of their phrases, or one and their topic.

    The topic alone is no sign: "keep this confidential" is what a reviewer wants to read.
    """
    if len(paragraph) < SHORTEST_DISCLAIMER:
        return False
    lower = paragraph.lower()
    phrases = {match[0] for match in DISCLAIMER.finditer(lower)}
    return len(phrases) >= 2 or (len(phrases) == 1 and DISCLAIMER_TOPIC.search(lower) is not None)


def _mark_signatures(lines: Sequence[_Line], kinds: list[ZoneKind]) -> None:
    """Mark the end of every stretch of the author's: from a delimiter or a closing formula on."""
    spoken = False
    for kind, start, end in list(_runs(kinds)):
        if kind != "body":
            continue
        first = _signature_start(lines, start, end)
        spoken = spoken or any(line.text.strip() for line in lines[start:first])
        if spoken and first < end:
            kinds[first:end] = ["signature"] * (end - first)


def _signature_start(lines: Sequence[_Line], start: int, end: int) -> int:
    """Return the line where the signature of a stretch begins, or its end if there is none."""
    found, below, only_short = end, 0, True
    for number in range(end - 1, start - 1, -1):
        text = lines[number].text
        if DELIMITER.match(text) or (below <= CLOSING_LINES and only_short and CLOSING.match(text)):
            found = number
        if text.strip():
            below += 1
            only_short = only_short and len(text) <= SHORT_LINE
        if below > DELIMITED_LINES:
            break
    return found


def _merged(lines: Sequence[_Line], kinds: Sequence[ZoneKind]) -> Iterator[Zone]:
    for kind, start, end in _runs(kinds):
        yield Zone(kind, lines[start].start, lines[end - 1].end)
