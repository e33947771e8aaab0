"""Recognisers of personal data: a cheap test of characters first, patterns only around what passed it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from data.recognisers.addresses import addresses
from data.recognisers.context import introduced
from data.recognisers.credentials import keys_and_wallets, private_keys
from data.recognisers.found import Found, lowered
from data.recognisers.given_names import named_people
from data.recognisers.national_ids import fiscal_codes, national_ids
from data.recognisers.network import dashed_macs, emails, ip_four, ip_six_and_mac, links_with_credentials
from data.recognisers.numbers import BROKEN_CLUSTER, CLUSTER, cards, ibans, social_security_numbers
from data.recognisers.people import people
from data.recognisers.phones import phones
from data.recognisers.shape import DIGIT, shape_of
from data.recognisers.surroundings import Surroundings
from data.recognisers.words import capitalised_words

SHORTEST_SSN, SHORTEST_CARD = 9, 12
DIGITS = "0123456789"


def recognise(text: str, names: Collection[str] = (), strangers: Collection[str] = ()) -> Iterator[Found]:
    """Yield everything found in an undisguised text, in no order; finds may overlap."""
    lower, words, shape = lowered(text), capitalised_words(text), shape_of(text)
    found_emails = list(emails(text)) if "@" in text else []
    found = [
        *found_emails,
        *people(text, lower, names, [item.start for item in found_emails], strangers, words=words),
        *named_people(text, words),
        *_by_form(text, shape),
        *introduced(text, lower),
    ]
    yield from found
    if DIGIT in shape:
        yield from _by_digits(text, words, shape, found)


def _by_form(text: str, shape: bytes) -> Iterator[Found]:
    if "://" in text:
        yield from links_with_credentials(text)
    if "-----BEGIN" in text:
        yield from private_keys(text)
    yield from ip_six_and_mac(text)
    yield from dashed_macs(text)
    yield from keys_and_wallets(text, shape)


def _by_digits(text: str, words: frozenset[str], shape: bytes, found: Iterable[Found]) -> Iterator[Found]:
    clusters = list(BROKEN_CLUSTER.finditer(text))
    around = Surroundings.of(text, found if clusters else ())
    for broken in clusters:
        digits = sum(map(broken[0].count, DIGITS))
        if digits >= SHORTEST_CARD:
            yield from cards(text, *broken.span(), around)
        for cluster in CLUSTER.finditer(text, *broken.span()) if "\n" in broken[0] else (broken,):
            start, end = cluster.span()
            if digits >= SHORTEST_SSN:
                yield from social_security_numbers(text, start, end, around)
            yield from national_ids(text, start, end, around)
            yield from phones(text, start, end, around)
    yield from ip_four(text)
    yield from ibans(text, shape)
    yield from fiscal_codes(text, shape)
    yield from addresses(text, words)
