"""Whose pseudonym it is, for who has the right and the key: a keyed hash is undone only by reading again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from data import governance
from data.disguise import readings
from data.intake import read
from data.normalise import clean
from data.record import Party, Record
from data.redact import PLACEHOLDER, pseudonym, redact
from data.sources import discover
from data.workspace import UserError, keys, locate, secret

WORD = re.compile(r"\w{3,}")
HOST = re.compile(r"@[\w.-]+")
WRITTEN = re.compile(r"\[?([A-Z_]+_[0-9a-fA-F]{8})\]?")


class TellingReasonError(UserError):
    """A reason names whom it is given for, and may be written down nowhere."""


def reveal(
    wanted: str, archive: str, *, reason: str, by: str = "", before_each: Callable[[], object] = lambda: None
) -> tuple[str, ...]:
    """Return the values of an archive that have this pseudonym, as they are written there.

    The access is an entry in the governance ledger before anything is returned: who, what, why and
    how many, never the values. ``before_each`` is called before every file and message; what it raises
    ends the search.

    Raises:
        UserError: no key on this machine, no reason, no pseudonym, or nothing to read.
        TellingReasonError: the reason names whom it is given for.
    """
    placeholder = placeholder_of(wanted)
    if not reason.strip():
        raise UserError("say why the pseudonym is revealed: --reason TEXT; it is signed into the ledger")
    if not (keys() / "redaction.key").exists():
        raise UserError(f"there is no redaction key in {keys()}; only who holds it can reveal a pseudonym")
    key = secret("redaction")
    found = tuple(sorted(set(_values(archive, placeholder, key, before_each))))
    if _names(reason, found):  # on record too: who is refused here has learnt that the name was right
        governance.record("reveal", by=by, pseudonym=placeholder, reason="withheld", found=0)
        raise TellingReasonError(
            "the reason names whom it is given for, and it is written down; say why without the name"
        )
    governance.record("reveal", by=by, pseudonym=placeholder, reason=reason, found=len(found))
    return found


def placeholder_of(wanted: str) -> str:
    """Return a pseudonym as texts show it.

    Raises:
        UserError: it is none.
    """
    match = WRITTEN.fullmatch(wanted.strip())
    placeholder = f"[{match[1][:-8]}{match[1][-8:].lower()}]" if match else ""
    if not PLACEHOLDER.fullmatch(placeholder):
        raise UserError("a pseudonym is written like EMAIL_1f3a9c2b, with or without its brackets")
    return placeholder


def _names(reason: str, found: Iterable[str]) -> bool:
    """Say whether a reason has a word of a value; hosts of addresses are no names."""
    words = {word for value in found for word in WORD.findall(HOST.sub("", value).casefold())}
    return not words.isdisjoint(WORD.findall(reason.casefold()))


def _values(archive: str, placeholder: str, key: bytes, before_each: Callable[[], object]) -> Iterator[str]:
    for item in discover(locate(archive)):
        before_each()
        with suppress(OSError):  # what cannot be read reveals nothing, as it was prepared as a reject
            for entry in read(item):
                before_each()
                if isinstance(entry, Record):
                    yield from _of_people(entry, placeholder, key)
                    yield from _of_texts(entry, placeholder, key)


def _of_people(record: Record, placeholder: str, key: bytes) -> Iterator[str]:
    """Yield senders, recipients and known names; where a name goes with the address, both."""
    for party in (record.sender, *record.recipients, *map(Party, (*record.names, *record.strangers))):
        kind, value = ("EMAIL", party.address) if party.address else ("PERSON", party.name)
        if value and pseudonym(kind, value, key=key) == placeholder:
            yield f"{party.name} <{party.address}>" if party.name and party.address else value
        if party.domain and pseudonym("DOMAIN", party.domain, key=key) == placeholder:
            yield party.domain


def _of_texts(record: Record, placeholder: str, key: bytes) -> Iterator[str]:
    attached = (text for each in record.attachments for text in (each.name, each.text))
    for text in filter(None, map(clean, (record.subject, record.body, *attached))):
        for span in redact(text, key=key, names=record.names, strangers=record.strangers).spans:
            for reading in readings(text[span.start : span.end]):
                if pseudonym(span.kind, value := reading.text.strip(), key=key) == placeholder:
                    yield value
