"""The invented words that fill the templates of the sample, and how a template becomes a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")

FIRMS = (
    "Averin Motors",
    "Belcastro Foods",
    "Corvane",
    "Dunmore Shipping",
    "Elstree Optics",
    "Fennick Energy",
    "Galdora Pharma",
    "Hexley Robotics",
    "Ivarsen Paper",
    "Jorvik Telecom",
    "Kestrel Aviation",
    "Lumora",
    "Marwell Chemicals",
    "Norholt Steel",
    "Ostrava Glass",
    "Pellworm Wind",
    "Quillon Software",
    "Ravensby Retail",
    "Solberg Salmon",
    "Tarnow Cement",
    "Umbra Games",
    "Vantaa Timber",
    "Wexcombe Water",
    "Xylia Biotech",
    "Yarrow Insurance",
    "Zedelgem Rail",
    "Brackwater",
    "Calder Mining",
    "Orlo Diagnostics",
    "Thessaly Cruises",
)
CLIENTS = (
    "Alderney Pension",
    "Birchwood Capital",
    "Cormorant Fund",
    "Drayton Trust",
    "Eastmere Life",
    "Foxglove",
    "Greyfriars Endowment",
    "Harrow Hill Family Office",
    "Inverary Partners",
    "Juniper Re",
    "Kilbride Savings",
    "Langley Teachers",
    "Moorgate Dental Fund",
    "Northwold Council",
    "Oakhurst",
    "Pemberton Mutual",
)
COUNTERPARTIES = (
    "Bank Ostrander",
    "Castellan Securities",
    "Delacroix Frères",
    "Eberhardt Privatbank",
    "Finsbury Markets",
    "Gorringe & Lyle",
    "Hallam Brokers",
    "Ibis Clearing",
    "Kronberg Handel",
    "Lothian Prime",
)
BONDS = tuple(
    f"{name} {year}"
    for name, year in zip(
        (
            "Arland",
            "Brevik",
            "Costmar",
            "Delven",
            "Estoria",
            "Fjordland",
            "Graubach",
            "Hansby",
            "Istrana",
            "Jutmark",
            "Kalmia",
            "Lorient Water",
            "Mornay",
            "Nordhavn",
        ),
        (2027, 2029, 2031, 2033, 2028, 2030, 2034, 2026, 2035, 2032, 2029, 2041, 2030, 2027),
        strict=True,
    )
)
FIRST_NAMES = (
    "Ada",
    "Bruno",
    "Carla",
    "Dario",
    "Edith",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kira",
    "Leo",
    "Maud",
    "Nils",
    "Olga",
    "Piet",
    "Rosa",
    "Sami",
    "Tilda",
    "Viktor",
    "Wanda",
    "Yves",
)
PLACES = (
    "Lisbon",
    "Zurich",
    "Bergen",
    "Vienna",
    "Porto",
    "Geneva",
    "Lyon",
    "Hamburg",
    "Dublin",
    "Malmö",
    "Trieste",
    "Antwerp",
    "Krakow",
    "Valencia",
)
APPS = ("WhatsApp", "Signal", "Telegram", "WeChat", "Threema")
DESKS = (
    "rates",
    "credit",
    "equities",
    "repo",
    "options",
    "sales",
    "emerging markets",
    "research",
    "commodities",
)
SYSTEMS = ("Argus", "BlotterPro", "Calypso II", "DealVault", "Everest", "FlowDesk", "Meridian", "TradeLedger")
REPORTS = (
    "P&L report",
    "break report",
    "liquidity report",
    "best execution report",
    "position report",
    "VaR sheet",
    "fee statement",
    "client survey",
    "collateral report",
    "risk dashboard",
)
DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag",
    "fr": "lundi mardi mercredi jeudi vendredi",
}
MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}


def _pick(*words: str) -> Callable[[Random, str], str]:
    return lambda rng, language: rng.choice(words)


def _amount(rng: Random, language: str) -> str:
    value = rng.choice((5, 8, 12, 15, 20, 35, 40, 60, 75, 90, 120, 250, 400, 750)) * rng.choice(
        (1, 1, 10, 100)
    )
    currency = rng.choice(
        ("euros", "dollars", "francs") if language != "de" else ("Euro", "Dollar", "Franken")
    )
    return (
        f"{value} thousand {currency}"
        if language == "en" and rng.random() < 0.4
        else f"{value}000 {currency}"
    )


SLOTS: Mapping[str, Callable[[Random, str], str]] = MappingProxyType(
    {
        "firm": _pick(*FIRMS),
        "client": _pick(*CLIENTS),
        "counterparty": _pick(*COUNTERPARTIES),
        "bond": _pick(*BONDS),
        "first": _pick(*FIRST_NAMES),
        "place": _pick(*PLACES),
        "app": _pick(*APPS),
        "desk": _pick(*DESKS),
        "system": _pick(*SYSTEMS),
        "report": _pick(*REPORTS),
        "day": lambda rng, language: rng.choice(DAYS[language].split()),
        "month": lambda rng, language: rng.choice(MONTHS[language].split()),
        "amount": _amount,
        "price": lambda rng, language: (
            f"{rng.randint(8, 240)}{',' if language != 'en' else '.'}{rng.randint(0, 99):02d}"
        ),
        "percent": lambda rng, language: (
            f"{rng.randint(1, 60)} " + {"en": "percent", "de": "Prozent", "fr": "pour cent"}[language]
        ),
        "quantity": lambda rng, language: f"{rng.randint(2, 95)}{rng.choice(('00', '000', '500'))}",
        "hour": lambda rng, language: f"{rng.randint(8, 18)}:{rng.choice(('00', '15', '30', '45'))}",
        "extension": lambda rng, language: str(rng.randint(2000, 8999)),
        "floor": _pick("second", "third", "fourth", "fifth"),
    }
)


TOPIC = ("firm", "client", "counterparty", "bond", "desk", "system", "report")
"""What a thread is about: its messages mostly mean the same firm, client or bond."""


def topic(rng: Random, language: str) -> dict[str, str]:
    """Draw what one thread is about."""
    return {slot: SLOTS[slot](rng, language) for slot in TOPIC}


def dice(seed: int, use: str) -> Random:
    """Return the dice of one use: what one use draws moves nothing in another."""
    return Random(f"{seed}:{use}")  # noqa: S311 - a sample needs repetition, not secrecy


def expand(template: str, rng: Random, language: str = "en", **values: str) -> str:
    """Choose the alternatives of a template, then fill its slots; ``values`` win over drawn words."""
    chosen = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    return _SLOT.sub(lambda match: values.get(match[1]) or SLOTS[match[1]](rng, language), chosen)
