"""The people of the sample, and the personal data that its messages let slip.

Nobody here exists: example domains, numbers reserved for films, test cards, documentation
networks. What carries a checksum carries a valid one, or no recogniser could be held to it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

BROKERAGE = "larkspur.example"
STAFF = tuple(
    """
Mira Holmqvist, Tobias Renner, Chloe Amberley, Anselm Drexler, Noor Halabi,
Pascal Verdier, Imogen Tarrant, Casper Lindqvist, Yasmin Okonjo, Bertrand Sallis,
Philippa Crane, Radek Novotny, Saoirse Malloy, Lorenzo Bassi, Henrike Vogt,
Desmond Achebe, Colette Marchand, Ulrich Seidel, Priya Raman, Gareth Pomfret,
Annika Brandt, Florian Keller, Solene Garnier, Tarek Mansour, Winifred Oakes,
Matteo Ricciardi, Jolanta Wrobel, Ewan Strachan, Beatrix Hallam, Odile Fontaine
""".strip()
    .replace("\n", " ")
    .split(", ")
)
OUTSIDERS = (
    ("Rupert Ashdown", "birchwood-capital.example"),
    ("Marguerite Lys", "cormorant-fund.example"),
    ("Stellan Frost", "drayton-trust.example"),
    ("Adelheid Kranz", "eberhardt-bank.example"),
    ("Quentin Sorel", "delacroix.example"),
    ("Tamsin Uley", "langley-teachers.example"),
    ("Orsolya Bartha", "kronberg.example"),
    ("Blaise Morel", "finsbury-markets.example"),
)
BULK_SENDERS = (
    ("Lucky Winners Desk", "prize-harbour.example"),
    ("Account Support", "mailbox-care.example"),
    ("Doctor Silver", "miracle-oils.example"),
    ("Growth Wizards", "first-page.example"),
    ("Parcel Point", "parcel-point.example"),
    ("Sunny Loans", "sunny-loans.example"),
)
LETTERS, DIGITS, HEX = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789", "0123456789abcdef"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    address: str
    phone: str

    @property
    def first(self) -> str:
        return self.name.split()[0]


@dataclass(frozen=True, slots=True)
class Planted:
    """A piece of personal data as it stands in a message."""

    kind: str
    value: str


def _person(name: str, domain: str, number: int) -> Person:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return Person(name, f"{plain.replace(' ', '.')}@{domain}", f"+44 20 7946 0{number:03d}")


def staff() -> tuple[Person, ...]:
    return tuple(_person(name, BROKERAGE, 100 + number) for number, name in enumerate(STAFF))


def outsiders() -> tuple[Person, ...]:
    return tuple(_person(name, domain, 300 + number) for number, (name, domain) in enumerate(OUTSIDERS))


def bulk_senders() -> tuple[Person, ...]:
    return tuple(_person(name, domain, 500 + number) for number, (name, domain) in enumerate(BULK_SENDERS))


def personal_data(kind: str, shape: Random, content: Random, language: str) -> Planted:
    """Invent a value: ``shape`` decides on its form and length, ``content`` on its digits and letters.

    Two archives that differ in ``content`` alone differ in nothing but the values, byte for byte
    of the same length: what a test of non-interference needs.
    """
    return Planted(kind, MAKERS[kind](shape, content, language))


def _draw(content: Random, alphabet: str, length: int) -> str:
    return "".join(content.choices(alphabet, k=length))


def _email(shape: Random, content: Random, language: str) -> str:
    return (
        f"{_draw(content, 'abcdefghiklmnoprstu', 5)}.{_draw(content, 'abcdefghiklmnoprstu', 6)}@mail.example"
    )


def _phone(shape: Random, content: Random, language: str) -> str:
    return shape.choice(
        ("+1 202-555-01", "+44 20 7946 09", "+49 30 231251", "+33 1 99 00 12 ", "+61 2 5550 12")
    ) + _draw(content, DIGITS, 2)


def _card(shape: Random, content: Random, language: str) -> str:
    body = shape.choice(("400000", "555555", "222300")) + _draw(content, DIGITS, 9)
    number = body + luhn_digit(body)
    separator = shape.choice((" ", "-", ""))
    return separator.join(number[start : start + 4] for start in range(0, 16, 4))


def luhn_digit(body: str) -> str:
    """Return the digit that makes ``body`` a valid card number."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(body))]
    return str(-sum(value - 9 if value > 9 else value for value in doubled) % 10)


def _iban(shape: Random, content: Random, language: str) -> str:
    country, account = {
        "de": ("DE", _draw(content, DIGITS, 18)),
        "fr": ("FR", _draw(content, DIGITS, 23)),
    }.get(language, ("GB", "LARK" + _draw(content, DIGITS, 14)))
    iban = country + iban_check(country, account) + account
    return (
        " ".join(iban[start : start + 4] for start in range(0, len(iban), 4))
        if shape.random() < 0.6
        else iban
    )


def iban_check(country: str, account: str) -> str:
    """Return the two check digits of ISO 7064 (mod 97-10)."""
    return f"{98 - int(''.join(str(int(character, 36)) for character in account + country + '00')) % 97:02d}"


def _ssn(shape: Random, content: Random, language: str) -> str:
    return f"{content.randint(880, 899)}-{content.randint(10, 99)}-{content.randint(1000, 9999)}"


def _ip(shape: Random, content: Random, language: str) -> str:
    if shape.random() < 0.25:
        return f"2001:db8:{_draw(content, HEX[1:], 4)}::{_draw(content, HEX[1:], 2)}"
    return f"{shape.choice(('192.0.2', '198.51.100', '203.0.113'))}.{content.randint(100, 254)}"


def _mac(shape: Random, content: Random, language: str) -> str:
    return shape.choice((":", "-")).join(("00", "00", "5e", "00", "53", _draw(content, HEX, 2)))


def _url(shape: Random, content: Random, language: str) -> str:
    host = shape.choice(("files", "reports", "vault"))
    login = f"{_draw(content, 'abcdefghkmnprst', 6)}:{_draw(content, BASE58, 10)}"
    return f"https://{login}@{host}.{BROKERAGE}/inbox"


def _account(shape: Random, content: Random, language: str) -> str:
    return f"{_draw(content, '123456789', 4)} {_draw(content, DIGITS, 4)} {_draw(content, DIGITS, 2)}"


def _passport(shape: Random, content: Random, language: str) -> str:
    return f"{_draw(content, 'CFGHJK', 1)}{_draw(content, DIGITS, 2)}X{_draw(content, DIGITS, 5)}"


def _birth(shape: Random, content: Random, language: str) -> str:
    year, month, day = content.randint(1955, 1999), content.randint(1, 12), content.randint(1, 28)
    separator = {"de": ".", "fr": "/"}.get(language, "-")
    return (
        f"{year}-{month:02d}-{day:02d}"
        if language == "en"
        else f"{day:02d}{separator}{month:02d}{separator}{year}"
    )


def _crypto(shape: Random, content: Random, language: str) -> str:
    if shape.random() < 0.5:
        return "0x" + _draw(content, HEX, 40)
    while True:  # drawn again until it has the usual length, so that the length depends on no content
        payload = b"\0" + content.randbytes(20)
        number = int.from_bytes(
            payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4], "big"
        )
        digits = ""
        while number:
            number, rest = divmod(number, 58)
            digits = BASE58[rest] + digits
        if len(digits) == 33 and payload[1]:
            return "1" + digits


def _secret(shape: Random, content: Random, language: str) -> str:
    prefix, length = shape.choice((("AKIA", 16), ("ghp_", 36), ("sk_test_", 24)))
    return prefix + _draw(content, LETTERS + "234567" if prefix == "AKIA" else BASE58, length)


def _address(shape: Random, content: Random, language: str) -> str:
    number, code = content.randint(11, 98), content.randint(100, 999)
    if language == "de":
        street = shape.choice(("Lindenstraße", "Gartenweg", "Mühlenstraße"))
        return f"{street} {number}, 60{code} Frankfurt am Main"
    if language == "fr":
        return f"{number} rue {shape.choice(('des Tilleuls', 'du Moulin', 'des Roses'))}, 69{code} Lyon"
    return f"{number} {shape.choice(('Larch Street', 'Orchard Lane', 'Mill Road'))}, Springfield, IL 62{code}"


MAKERS: Mapping[str, Callable[[Random, Random, str], str]] = MappingProxyType({
    "EMAIL": _email, "PHONE": _phone, "CARD": _card, "IBAN": _iban, "SSN": _ssn, "IP": _ip, "MAC": _mac,
    "URL": _url, "ACCOUNT": _account, "PASSPORT": _passport, "DOB": _birth, "CRYPTO": _crypto,
    "SECRET": _secret, "ADDRESS": _address,
})  # fmt: skip
KINDS = (*MAKERS, "PERSON")
MENTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "EMAIL": "The [direct|other] address is {value}.",
            "PHONE": "The [desk|office] phone is {value}.",
            "CARD": "The deposit went on card {value}.",
            "IBAN": "The IBAN [for the transfer|on file] is {value}.",
            "SSN": "The tax form shows SSN {value}.",
            "IP": "The [printer|host] answers at {value}.",
            "MAC": "IT needs the device id {value}.",
            "URL": "The files lie under {value} for a week.",
            "ACCOUNT": "Please use account number {value}.",
            "PASSPORT": "The visa form asks for passport no. {value}.",
            "DOB": "Date of birth {value}, as on the form.",
            "CRYPTO": "The test wallet is {value}.",
            "SECRET": "The sandbox key is {value}.",
            "ADDRESS": "Please post the originals to {value}.",
            "PERSON": "[Please copy|Ask] {value}.",
        },
        "de": {
            "EMAIL": "Die Adresse ist {value}.",
            "PHONE": "Telefon {value}.",
            "CARD": "Die Anzahlung lief über die Karte {value}.",
            "IBAN": "Die IBAN ist {value}.",
            "SSN": "Auf dem Formular steht SSN {value}.",
            "IP": "Der Drucker hat {value}.",
            "MAC": "Das Gerät meldet sich als {value}.",
            "URL": "Die Dateien liegen unter {value} bereit.",
            "ACCOUNT": "Bitte Kontonummer {value} nehmen.",
            "PASSPORT": "Im Antrag steht Reisepass {value}.",
            "DOB": "Im Vertrag steht geboren am {value}, bitte prüfen.",
            "CRYPTO": "Die Testadresse lautet {value}.",
            "SECRET": "Der Schlüssel ist {value}.",
            "ADDRESS": "Die Originale bitte an {value}.",
            "PERSON": "Bitte {value} fragen.",
        },
        "fr": {
            "EMAIL": "L'adresse est {value}.",
            "PHONE": "Téléphone {value}.",
            "CARD": "L'acompte est passé par la carte {value}.",
            "IBAN": "L'IBAN est {value}.",
            "SSN": "Le formulaire indique SSN {value}.",
            "IP": "L'imprimante répond à {value}.",
            "MAC": "L'appareil porte le numéro {value}.",
            "URL": "Les fichiers sont sous {value} cette semaine.",
            "ACCOUNT": "Merci d'utiliser le compte {value}.",
            "PASSPORT": "Le visa demande le passeport {value}.",
            "DOB": "Date de naissance {value}, selon le contrat.",
            "CRYPTO": "Le portefeuille de test est {value}.",
            "SECRET": "La clé est {value}.",
            "ADDRESS": "Les originaux vont au {value}.",
            "PERSON": "Demande à {value}.",
        },
    }
)
